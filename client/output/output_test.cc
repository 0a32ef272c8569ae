#include <limits>
#include <sstream>

#include "client/output/line_plot.h"
#include "client/output/progress_bar.h"
#include "client/output/result_json.h"
#include "client/output/words.h"
#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"

namespace seer {
namespace {

template <typename Message>
Message Parse(const std::string& text) {
  Message message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message));
  return message;
}

v1::CompleteResult SomeResult() {
  return Parse<v1::CompleteResult>(R"(
    request_id: 'r-1'
    choices {
      text: 'Hi' token_ids: 5 token_ids: 6
      logprobs {
        token { token_id: 5 token: '\303' logprob: -0.5 } rank: 2
        top { token_id: 7 token: 'x' logprob: -0.25 }
      }
      finish { reason: FINISH_REASON_STOP stop_string: '.' }
    }
    choices {
      text: 'Ho' token_ids: 8 token_ids: 9
      finish { index: 1 reason: FINISH_REASON_STOP stop_token_id: 9 }
    }
    summary {
      usage { prompt_tokens: 6021 cached_tokens: 64 output_tokens: 4 }
      timings {
        queue { nanos: 1000000 } prefill { seconds: 1 nanos: 500000000 }
        decode { nanos: 250000000 } time_to_first_token { seconds: 1 nanos: 501000000 }
      }
      sparsity {
        requested { target_sparsity: 0.75 builtin: BUILTIN_GATE_MEAN_POOL }
        effective {
          target_sparsity: 0.75 builtin: BUILTIN_GATE_MEAN_POOL
          allocation: ALLOCATION_UNIFORM sink_blocks: 1 dense_last_blocks: 2
        }
        realized_sparsity: 0.75 blocks_visible: 8 blocks_selected: 2
        tiles_computed: 3 tiles_reused: 1 gate: 'mean_pool'
        layers { blocks_visible: 8 blocks_selected: 2 }
        closest_feasible: true dense_fallback: DENSE_FALLBACK_NONE
      }
      seed: 18446744073709551615
    })");
}

TEST(ResultJsonTest, HoldsEveryField) {
  EXPECT_EQ(ToText(ResultJson(SomeResult()), 1), R"({
 "request_id": "r-1",
 "choices": [
  {
   "index": 0,
   "text": "Hi",
   "token_ids": [
    5,
    6
   ],
   "finish_reason": "stop",
   "stop_string": ".",
   "logprobs": [
    {
     "token_id": 5,
     "token": ")"
                                                 "\xef\xbf\xbd"
                                                 R"(",
     "bytes": [
      195
     ],
     "logprob": -0.5,
     "rank": 2,
     "top": [
      {
       "token_id": 7,
       "token": "x",
       "bytes": [
        120
       ],
       "logprob": -0.25
      }
     ]
    }
   ]
  },
  {
   "index": 1,
   "text": "Ho",
   "token_ids": [
    8,
    9
   ],
   "finish_reason": "stop",
   "stop_token_id": 9
  }
 ],
 "usage": {
  "prompt_tokens": 6021,
  "cached_tokens": 64,
  "output_tokens": 4
 },
 "timings": {
  "queue_seconds": 0.001,
  "prefill_seconds": 1.5,
  "decode_seconds": 0.25,
  "time_to_first_token_seconds": 1.501,
  "output_tokens_per_second": 8.0
 },
 "sparsity": {
  "requested": {
   "budget": "target_sparsity",
   "target_sparsity": 0.75,
   "gate": "mean_pool"
  },
  "effective": {
   "budget": "target_sparsity",
   "target_sparsity": 0.75,
   "gate": "mean_pool",
   "allocation": "uniform",
   "sink_blocks": 1,
   "dense_last_blocks": 2
  },
  "realized_sparsity": 0.75,
  "blocks_visible": 8,
  "blocks_selected": 2,
  "tiles_computed": 3,
  "tiles_reused": 1,
  "gate": "mean_pool",
  "gate_version": "",
  "closest_feasible": true,
  "dense_fallback": "none",
  "layers": [
   {
    "blocks_visible": 8,
    "blocks_selected": 2
   }
  ]
 },
 "seed": 18446744073709551615
})");
}

TEST(ResultJsonTest, WritesEveryBudget) {
  const auto json = [](const std::string& policy) {
    return ToText(PolicyJson(Parse<v1::SparsityPolicy>(policy)));
  };
  EXPECT_EQ(json(""), R"({"budget":"dense"})");
  EXPECT_EQ(json("dense {}"), R"({"budget":"dense"})");
  EXPECT_EQ(json("top_k_blocks: 5 label: GATE_LABEL_CANARY"),
            R"({"budget":"top_k_blocks","top_k_blocks":5,"gate":"canary"})");
  EXPECT_EQ(json("token_budget: 640 gate_set: 'models/m/gateSets/g'"),
            R"({"budget":"token_budget","token_budget":640,)"
            R"("gate":"models/m/gateSets/g"})");
  EXPECT_EQ(json("threshold: 0.5 allocation: ALLOCATION_PROFILED"),
            R"({"budget":"threshold","threshold":0.5,)"
            R"("allocation":"profiled"})");
}

TEST(ResultJsonTest, WritesModelAndLoad) {
  const Json model = ModelJson(Parse<v1::Model>(R"(
    name: 'models/m' context_length: 8192 dtype: 'bfloat16' device: 'cpu'
    gate_sets {
      name: 'models/m/gateSets/g' design: 'Qavg_Kmaxminavg' version: 'ab'
      has_profile: true labels: GATE_LABEL_STABLE
    }
    default_sparsity { dense {} } limits { default_max_tokens: 256 })"));
  EXPECT_EQ(model["name"], "models/m");
  EXPECT_EQ(model["context_length"], 8192);
  EXPECT_EQ(model["default_max_tokens"], 256);
  EXPECT_EQ(ToText(model["gate_sets"]),
            R"([{"name":"models/m/gateSets/g","design":"Qavg_Kmaxminavg",)"
            R"("version":"ab","has_profile":true,"labels":["stable"]}])");
  EXPECT_EQ(ToText(LoadJson(Parse<v1::Load>(R"(
              requests_running: 1 requests_waiting: 2 tokens_waiting: 3
              kv_pages_used: 4 kv_pages_total: 5 accepting: true)"))),
            R"({"accepting":true,"requests_running":1,"requests_waiting":2,)"
            R"("tokens_waiting":3,"kv_pages_used":4,"kv_pages_total":5,)"
            R"("predicted_queue_delay_seconds":null})");
}

TEST(ResultJsonTest, ReplacesWhatJsonCannotHold) {
  EXPECT_EQ(ToText(Json("a\xff")), "\"a\xef\xbf\xbd\"");
  EXPECT_EQ(ToText(Json(std::numeric_limits<double>::quiet_NaN())), "null");
}

TEST(WordsTest, KnowsEveryValue) {
  EXPECT_EQ(Word(v1::FINISH_REASON_END_OF_TEXT), "end_of_text");
  EXPECT_EQ(Word(v1::DENSE_FALLBACK_SHORT_PROMPT), "short_prompt");
  EXPECT_EQ(Word(static_cast<v1::FinishReason>(99)), "unknown");
}

TEST(WordsTest, ClosesWithTheFacts) {
  v1::CompleteResult result = SomeResult();
  EXPECT_EQ(ClosingLine(result),
            "TTFT 1.50 s, 8.0 tokens/s, 6021 prompt + 4 output tokens, "
            "realized sparsity 0.750 (closest feasible), gate mean_pool");
  v1::SparsityReport* report = result.mutable_summary()->mutable_sparsity();
  report->Clear();
  report->set_dense_fallback(v1::DENSE_FALLBACK_SHORT_PROMPT);
  result.mutable_summary()->mutable_timings()->clear_decode();
  EXPECT_EQ(ClosingLine(result),
            "TTFT 1.50 s, 6021 prompt + 4 output tokens, realized sparsity "
            "0.000, gate none (dense: short_prompt)");
  result.mutable_summary()->mutable_usage()->clear_output_tokens();
  EXPECT_EQ(ClosingLine(result),
            "prefill 1.50 s, 6021 prompt + 0 output tokens, realized sparsity "
            "0.000, gate none (dense: short_prompt)");
}

TEST(ProgressBarTest, DrawsOverItselfAndClears) {
  std::ostringstream terminal;
  {
    ProgressBar bar(&terminal);
    bar.Draw(0, 6000);
    bar.Draw(3000, 6000);
  }
  EXPECT_EQ(terminal.str(),
            "\r\x1b[Kprefill [........................] 0/6000 tokens   0 %"
            "\r\x1b[Kprefill [############............] 3000/6000 tokens  50 %"
            "\r\x1b[K");
}

TEST(LinePlotTest, PutsPointsOnRoundAxes) {
  const std::string svg = LinePlotSvg(
      {{"a < b", "x", "y", {{"one", {{0, 10}, {0.5, 14.5}}}, {"two", {}}}},
       {"second", "x", "y", {{"two", {{1, 3}}}}}});
  // y runs from 10 to 15: 210 pixels below 36; x over 350 pixels from 64.
  EXPECT_NE(svg.find("<polyline points=\"64.0,246.0 239.0,57.0\""),
            std::string::npos)
      << svg;
  EXPECT_NE(svg.find(">a &lt; b</text>"), std::string::npos);
  // A label keeps its colour in the next panel and in the legend.
  EXPECT_NE(svg.find("stroke=\"#d1495b\"", svg.find("second")),
            std::string::npos);
  EXPECT_NE(svg.find("height=\"4\" fill=\"#d1495b\""), std::string::npos);
}

TEST(ProgressBarTest, SaysWhatItCounts) {
  std::ostringstream terminal;
  ProgressBar(&terminal, "score", "requests").Draw(1, 4);
  EXPECT_NE(terminal.str().find("score [######"), std::string::npos);
  EXPECT_NE(terminal.str().find("] 1/4 requests  25 %"), std::string::npos);
}

TEST(ProgressBarTest, DrawsNothingWithoutATerminal) {
  ProgressBar bar(nullptr);
  bar.Draw(1, 2);
  bar.Clear();
  std::ostringstream terminal;
  { ProgressBar unused(&terminal); }
  EXPECT_EQ(terminal.str(), "");
}

}  // namespace
}  // namespace seer
