#include "client/flags/generation_flags.h"

namespace seer {

void GenerationFlags::AddTo(FlagSet* flags) {
  flags->Group("Length");
  flags->Add("max_tokens", &max_tokens_, "N",
             "new tokens at the most; default: the server's");
  flags->Add("min_tokens", &min_tokens_, "N",
             "no stop before N new tokens; default 0");
  flags->Add("stop", &stop_, "TEXT", "end before TEXT; repeatable");
  flags->Add("stop_token_id", &stop_token_ids_, "ID",
             "end at this token; repeatable");
  flags->Add("ignore_eos", &ignore_eos_, "",
             "read the model's end tokens as ordinary ones");
  flags->Group("Sampling");
  flags->Add("temperature", &temperature_, "T",
             "in [0, 2], 0 is greedy; default 1");
  flags->Add("top_p", &top_p_, "P",
             "keep the likeliest tokens that sum to P, in (0, 1]; default 1");
  flags->Add("top_k", &top_k_, "K",
             "keep the K likeliest tokens; default 0: all");
  flags->Add("min_p", &min_p_, "P",
             "keep tokens at least P times as likely as the likeliest, in "
             "[0, 1); default 0");
  flags->Add("repetition_penalty", &repetition_penalty_, "R",
             "in (0, 2]; default 1");
  flags->Add("presence_penalty", &presence_penalty_, "P",
             "in [-2, 2]; default 0");
  flags->Add("frequency_penalty", &frequency_penalty_, "P",
             "in [-2, 2]; default 0");
  flags->Add("logit_bias", &logit_bias_, "ID:BIAS",
             "add BIAS, in [-100, 100], to a token's logit; repeatable");
  flags->Add("seed", &seed_, "N",
             "make the draws reproducible; default: the server draws one");
  flags->Add("request_id", &request_id_, "ID",
             "your own id of the request, for the server's log");
}

void GenerationFlags::Fill(v1::CompleteRequest* request) const {
  if (max_tokens_) request->set_max_tokens(*max_tokens_);
  request->set_min_tokens(min_tokens_);
  request->mutable_stop_strings()->Assign(stop_.begin(), stop_.end());
  request->mutable_stop_token_ids()->Assign(stop_token_ids_.begin(),
                                            stop_token_ids_.end());
  request->set_ignore_eos(ignore_eos_);
  request->set_client_request_id(request_id_);
  v1::SamplingOptions sampling;
  FillSampling(&sampling);
  if (sampling.ByteSizeLong() > 0) {
    *request->mutable_sampling() = std::move(sampling);
  }
}

void GenerationFlags::FillSampling(v1::SamplingOptions* sampling) const {
  if (temperature_) sampling->set_temperature(*temperature_);
  if (top_p_) sampling->set_top_p(*top_p_);
  sampling->set_top_k(top_k_);
  sampling->set_min_p(min_p_);
  if (repetition_penalty_) {
    sampling->set_repetition_penalty(*repetition_penalty_);
  }
  sampling->set_presence_penalty(presence_penalty_);
  sampling->set_frequency_penalty(frequency_penalty_);
  if (seed_) sampling->set_seed(*seed_);
  for (const auto& [id, bias] : logit_bias_) {
    (*sampling->mutable_logit_bias())[id] = bias;
  }
}

}  // namespace seer
