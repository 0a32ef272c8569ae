// Which gate sets an engine has, and which of them its requests use.
// Absl only: server/ needs no torch.
//
//   SEER_ASSIGN_OR_RETURN(const GateFileFacts facts, gates.Validate(path));
//   SEER_RETURN_IF_ERROR(gates.Install(path).status());
//   SEER_RETURN_IF_ERROR(gates.SetRouting({facts.name, "", 0}));
#ifndef SEER_ENGINE_GATE_CONTROL_H_
#define SEER_ENGINE_GATE_CONTROL_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace seer {

// What a gate set file says of itself; provenance that it lacks is "" or 0.
struct GateFileFacts {
  std::string name;     // models/{model}/gateSets/sha256-{12 digits of version}
  std::string version;  // SHA-256 of the file, 64 lowercase hex digits
  std::string design;   // e.g. Qavg_Kmaxminavg, mean_pool
  std::string fingerprint;  // of the base model
  bool has_profile = false;
  int64_t num_bytes = 0;  // of the file
  std::string target;     // "max", "mass", "root_mass"
  std::string loss;       // "kl", "kl_reference", "mse"
  std::string dataset_sha256;
  int64_t dataset_tokens = 0;  // 0 also where the file says it is not known
  int64_t steps = 0;
  uint64_t seed = 0;
  std::string tool_version;
};

// Which gate set a request that names none uses: the canary if the hash of its
// server-made id falls within the fraction, else the stable set.
struct GateRouting {
  std::string stable;            // a gate set's name; "": none
  std::string canary;            // likewise; not the stable one
  double canary_fraction = 0.0;  // [0, 1]; 0 without a canary
};

// Thread-safe. Calls may wait for the engine's thread, for a step and what is
// done in the background behind it, and read files: none belongs on a thread
// that must not block.
class GateControl {
 public:
  virtual ~GateControl() = default;

  // Reads the file as Install does and changes nothing. NOT_FOUND: no such
  // file. INVALID_ARGUMENT: no gate set file, or not this model's shape; the
  // tensor or metadata field is named. FAILED_PRECONDITION: another base
  // model's fingerprint; ORACLE_NOT_ALLOWED, a gate set for an oracle.
  virtual absl::StatusOr<GateFileFacts> Validate(
      const std::string& path) const = 0;

  // Loads a gate set to the device; requests can name it from then on. One that
  // is there already is left as it is. The file is not needed afterwards.
  // Errors of Validate. RESOURCE_EXHAUSTED, GATE_SLOTS: as many as there is
  // memory set aside for are installed, or still used by running requests.
  virtual absl::StatusOr<GateFileFacts> Install(const std::string& path) = 0;

  // New requests do not find it any more; it leaves the device with the last
  // request that uses it. NOT_FOUND: it is not installed. FAILED_PRECONDITION,
  // IN_USE: it is routed to.
  virtual absl::Status Remove(const std::string& name) = 0;

  // All of it at once: a request admitted before has the set that it began
  // with to its last token, one submitted after the call returns sees the new
  // routing. NOT_FOUND: a set that is not installed. INVALID_ARGUMENT: a
  // fraction out of range or without a canary; canary and stable are the same.
  virtual absl::Status SetRouting(const GateRouting& routing) = 0;

  virtual GateRouting routing() const = 0;
};

}  // namespace seer

#endif  // SEER_ENGINE_GATE_CONTROL_H_
