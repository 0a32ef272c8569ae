#include "server/catalog/rows/record_json.h"

#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "nlohmann/json.hpp"

namespace seer {
namespace {

using Json = nlohmann::json;

// A record's members are listed once, for both directions: a `Writer` or a
// `Reader` is called with each one's name and place.
template <typename Visitor, typename Record>
void Visit(Visitor&& visitor, Record& record);

Json Parse(absl::string_view text) {
  return Json::parse(text.begin(), text.end(), nullptr, false);
}

struct Writer {
  template <typename T>
  static Json Value(const T& value) {
    if constexpr (std::is_class_v<T> && !std::is_same_v<T, std::string>) {
      Writer nested;
      Visit(nested, value);
      return std::move(nested.json);
    } else {
      return value;
    }
  }
  template <typename T>
  static Json Value(const std::vector<T>& values) {
    Json list = Json::array();
    for (const T& value : values) list.push_back(Value(value));
    return list;
  }
  template <typename T>
  void operator()(const char* name, const T& value) {
    json[name] = Value(value);
  }

  Json json = Json::object();
};

struct Reader {
  static void Read(const Json& json, std::string& value) {
    if (json.is_string()) value = json.get<std::string>();
  }
  static void Read(const Json& json, double& value) {
    if (json.is_number()) {
      value = json.get<double>();
    } else if (json.is_null()) {
      value = std::numeric_limits<double>::quiet_NaN();
    }
  }
  static void Read(const Json& json, int64_t& value) {
    if (json.is_number_integer()) value = json.get<int64_t>();
  }
  static void Read(const Json& json, uint64_t& value) {
    if (json.is_number_integer()) value = json.get<uint64_t>();
  }
  template <typename T>
  static void Read(const Json& json, std::vector<T>& values) {
    if (!json.is_array()) return;
    values.clear();
    for (const Json& element : json) Read(element, values.emplace_back());
  }
  template <typename T>
  static void Read(const Json& json, T& record) {
    Visit(Reader{json}, record);
  }
  template <typename T>
  void operator()(const char* name, T& value) const {
    const auto member = json.find(name);
    if (member != json.end()) Read(*member, value);
  }

  const Json& json;
};

// `Record` is one of the structs below, or that const.
template <typename Record, typename Struct>
constexpr bool kIs = std::is_same_v<std::remove_const_t<Record>, Struct>;

template <typename Visitor, typename Record>
void Visit(Visitor&& visit, Record& record) {
  if constexpr (kIs<Record, CalibrationSpec>) {
    visit("model", record.model);
    visit("dataset_id", record.dataset_id);
    visit("display_name", record.display_name);
    visit("design", record.design);
    visit("target", record.target);
    visit("loss", record.loss);
    visit("steps", record.steps);
    visit("warmup_steps", record.warmup_steps);
    visit("tokens_per_step", record.tokens_per_step);
    visit("sequence_len", record.sequence_len);
    visit("learning_rate", record.learning_rate);
    visit("seed", record.seed);
    visit("device_share", record.device_share);
    visit("validation_fraction", record.validation_fraction);
  } else if constexpr (kIs<Record, CalibrationProgress>) {
    visit("phase", record.phase);
    visit("step", record.step);
    visit("steps", record.steps);
    visit("layer_losses", record.layer_losses);
    visit("layer_validation_losses", record.layer_validation_losses);
  } else if constexpr (kIs<Record, GateQuality>) {
    visit("layers", record.layers);
    visit("perplexities", record.perplexities);
    visit("dense_perplexity", record.dense_perplexity);
    visit("num_tokens", record.num_tokens);
  } else if constexpr (kIs<Record, GateQuality::Layer>) {
    visit("loss", record.loss);
    visit("recalls", record.recalls);
  } else if constexpr (kIs<Record, GateQuality::Recall>) {
    visit("density", record.density);
    visit("realized_density", record.realized_density);
    visit("mass_recall", record.mass_recall);
    visit("oracle_mass_recall", record.oracle_mass_recall);
    visit("block_recall", record.block_recall);
  } else if constexpr (kIs<Record, GateQuality::Perplexity>) {
    visit("density", record.density);
    visit("perplexity", record.perplexity);
  } else {
    static_assert(kIs<Record, ProvenanceRecord>);
    visit("target", record.target);
    visit("loss", record.loss);
    visit("dataset_sha256", record.dataset_sha256);
    visit("dataset_tokens", record.dataset_tokens);
    visit("steps", record.steps);
    visit("seed", record.seed);
    visit("tool_version", record.tool_version);
  }
}

// Bytes that are not UTF-8 are replaced: nothing here may throw.
template <typename Record>
std::string Write(const Record& record) {
  return Writer::Value(record).dump(-1, ' ', false,
                                    Json::error_handler_t::replace);
}

template <typename Record>
void ReadText(absl::string_view text, Record& record) {
  const Json json = Parse(text);
  if (json.is_object()) Reader::Read(json, record);
}

}  // namespace

std::string ToJson(const CalibrationSpec& spec) { return Write(spec); }
std::string ToJson(const CalibrationProgress& progress) {
  return Write(progress);
}
std::string ToJson(const GateQuality& quality) { return Write(quality); }
std::string ToJson(const ProvenanceRecord& provenance) {
  return Write(provenance);
}

void FromJson(absl::string_view json, CalibrationSpec& spec) {
  ReadText(json, spec);
}
void FromJson(absl::string_view json, CalibrationProgress& progress) {
  ReadText(json, progress);
}
void FromJson(absl::string_view json, GateQuality& quality) {
  ReadText(json, quality);
}
void FromJson(absl::string_view json, ProvenanceRecord& provenance) {
  ReadText(json, provenance);
}

}  // namespace seer
