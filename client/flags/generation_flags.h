// How a request generates: length, stops and sampling, from flags.
#ifndef SEER_CLIENT_FLAGS_GENERATION_FLAGS_H_
#define SEER_CLIENT_FLAGS_GENERATION_FLAGS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "client/flags/flag_set.h"
#include "proto/seer/v1/completion.pb.h"

namespace seer {

class GenerationFlags {
 public:
  // Must outlive `flags`' Parse.
  void AddTo(FlagSet* flags);

  // Sets what was given; ranges are the server's to check.
  void Fill(v1::CompleteRequest* request) const;

 private:
  void FillSampling(v1::SamplingOptions* sampling) const;

  std::optional<int32_t> max_tokens_;
  int32_t min_tokens_ = 0;
  std::vector<std::string> stop_;
  std::vector<int32_t> stop_token_ids_;
  bool ignore_eos_ = false;
  std::optional<double> temperature_;
  std::optional<double> top_p_;
  int32_t top_k_ = 0;
  double min_p_ = 0;
  std::optional<double> repetition_penalty_;
  double presence_penalty_ = 0;
  double frequency_penalty_ = 0;
  std::optional<uint64_t> seed_;
  std::vector<std::pair<int32_t, float>> logit_bias_;
  std::string request_id_;
};

}  // namespace seer

#endif  // SEER_CLIENT_FLAGS_GENERATION_FLAGS_H_
