#ifndef SEER_TESTS_TESTING_ENGINE_FAKES_FAKE_ENGINE_H_
#define SEER_TESTS_TESTING_ENGINE_FAKES_FAKE_ENGINE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/engine.h"
#include "engine/request.h"

namespace seer {

// What a FakeEngine answers to one request.
struct FakeReply {
  // Given to the reader in this order. Where none of them is a last event (see
  // IsLast), the stream stays open: until the test pushes one, the reader
  // cancels, the deadline passes or the engine drains.
  std::vector<Event> events;
  absl::Duration interval;  // between one event and the next
};

// Decides about a request when it is submitted. An error is what Submit
// returns. Called on the submitting thread, possibly on several at once.
using FakeScript =
    std::function<absl::StatusOr<FakeReply>(const GenerationRequest& request)>;

// Four layers of two query heads, vocabulary 259, context 4096.
ModelInfo FakeModelInfo();

// Answers as a real engine would: progress in chunks of 512 tokens,
// log-probabilities where asked for, the tokens "w0 ", "w1 ", ... up to
// max_tokens for each choice, and a summary with FakeReport.
FakeReply EchoReply(const GenerationRequest& request, const ModelInfo& model);

// The report of a request whose budget was met exactly, to the block, on every
// layer.
SparsityReport FakeReport(const GenerationRequest& request,
                          const ModelInfo& model);

// An engine that answers from a script, for tests of its callers. Submit
// refuses what every engine refuses (see Engine::Submit), but has no queue.
//
//   FakeEngine engine(FakeEngine::Options(), [](const GenerationRequest&) {
//     return FakeReply{{AcceptedEvent{}}};  // and then nothing
//   });
//   ... submit through the caller under test ...
//   ASSERT_TRUE(engine.WaitForRequests(1));
//   engine.Push(engine.requests()[0].request_id, SummaryEvent{});
//
// Thread-safe. Streams may outlive the engine; they then get no more events.
class FakeEngine final : public Engine {
 public:
  struct Options {
    ModelInfo model = FakeModelInfo();
    // Beside mean_pool, which is always there; at first.
    std::vector<GateSetInfo> gate_sets;
    // A reader with more unread events is ended with RESOURCE_EXHAUSTED
    // (SLOW_READER), and the events are dropped.
    size_t max_unread_events = 4096;
    EngineObserver* observer = nullptr;  // borrowed; told of cancels
  };

  explicit FakeEngine(Options options);  // answers with EchoReply
  FakeEngine(Options options, FakeScript script);
  ~FakeEngine() override;

  absl::StatusOr<std::unique_ptr<TokenStream>> Submit(
      GenerationRequest request) override;
  const ModelInfo& model() const override;
  std::vector<GateSetInfo> gate_sets() const override;
  // As set by SetStats; but running requests, draining and block totals count
  // what was really submitted.
  EngineStats Stats() const override;
  absl::Status Drain(absl::Time deadline) override;

  // Gives `event` to a request's reader. False where the stream has ended.
  bool Push(const std::string& request_id, Event event);

  void SetStats(EngineStats stats);
  // As if other gate sets were installed.
  void SetGateSets(std::vector<GateSetInfo> gate_sets);

  // Every request admitted so far, in order.
  std::vector<GenerationRequest> requests() const;
  // Streams destroyed before they had ended.
  int64_t num_cancelled() const;
  // Wait until that many requests were admitted, or cancelled. False after
  // half a minute.
  bool WaitForRequests(int64_t count) const;
  bool WaitForCancelled(int64_t count) const;

 private:
  struct Stream;
  struct Delivery;
  class Reader;

  absl::Status CheckRequest(const GenerationRequest& request) const;

  const Options options_;
  const FakeScript script_;
  const std::shared_ptr<Delivery> delivery_;
  std::thread thread_;
};

}  // namespace seer

#endif  // SEER_TESTS_TESTING_ENGINE_FAKES_FAKE_ENGINE_H_
