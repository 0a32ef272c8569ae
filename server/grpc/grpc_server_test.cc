#include "server/grpc/grpc_server.h"

#include <memory>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "grpcpp/channel.h"
#include "grpcpp/client_context.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/security/credentials.h"
#include "gtest/gtest.h"
#include "tests/testing/server/in_process_server.h"
#include "tests/testing/server/self_signed.h"

namespace seer {
namespace {

// The messages of grpc.health.v1 and of reflection are written and read here
// as bytes: Debian packages neither's C++ code.
std::string StringField(int number, const std::string& value) {
  return std::string(1, static_cast<char>(number << 3 | 2)) +
         static_cast<char>(value.size()) + value;
}

grpc::Status UnaryCall(const std::shared_ptr<grpc::Channel>& channel,
                       const std::string& method, const std::string& request,
                       std::string* response) {
  grpc::TemplatedGenericStub<grpc::ByteBuffer, grpc::ByteBuffer> stub(channel);
  const grpc::Slice slice(request);
  const grpc::ByteBuffer sent(&slice, 1);
  grpc::ClientContext context;
  grpc::CompletionQueue queue;
  auto call = stub.PrepareUnaryCall(&context, method, sent, &queue);
  call->StartCall();
  grpc::ByteBuffer received;
  grpc::Status status;
  call->Finish(&received, &status, &queue);
  void* tag;
  bool ok;
  queue.Next(&tag, &ok);
  grpc::Slice all;
  if (status.ok() && received.DumpToSingleSlice(&all).ok()) {
    response->assign(reinterpret_cast<const char*>(all.begin()), all.size());
  }
  queue.Shutdown();
  while (queue.Next(&tag, &ok)) {
  }
  return status;
}

enum Serving { kUnknown = 0, kServing = 1, kNotServing = 2 };

Serving Check(const InProcessServer& server, const std::string& service) {
  std::string response;
  const grpc::Status status =
      UnaryCall(server.NewChannel(), "/grpc.health.v1.Health/Check",
                StringField(1, service), &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return response.size() == 2 && response[0] == 8
             ? static_cast<Serving>(response[1])
             : kUnknown;
}

TEST(GrpcServerTest, HealthFollowsTheVerdict) {
  InProcessServer server{InProcessServer::Options()};
  for (const char* service : {"", "liveness", "readiness"}) {
    EXPECT_EQ(Check(server, service), kServing) << service;
  }
  server.server().SetHealth(Health{true, false});
  EXPECT_EQ(Check(server, ""), kNotServing);
  EXPECT_EQ(Check(server, "readiness"), kNotServing);
  EXPECT_EQ(Check(server, "liveness"), kServing);
  server.server().SetHealth(Health{false, false});
  EXPECT_EQ(Check(server, "liveness"), kNotServing);
  server.server().SetHealth(Health());
  EXPECT_EQ(Check(server, ""), kServing);
}

TEST(GrpcServerTest, ReflectionListsTheServices) {
  InProcessServer server{InProcessServer::Options()};
  grpc::TemplatedGenericStub<grpc::ByteBuffer, grpc::ByteBuffer> stub(
      server.NewChannel());
  grpc::ClientContext context;
  grpc::CompletionQueue queue;
  auto call = stub.PrepareCall(
      &context,
      "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", &queue);
  void* tag;
  bool ok;
  call->StartCall(nullptr);
  ASSERT_TRUE(queue.Next(&tag, &ok) && ok);
  const grpc::Slice slice(StringField(7, "*"));  // list_services
  call->Write(grpc::ByteBuffer(&slice, 1), nullptr);
  ASSERT_TRUE(queue.Next(&tag, &ok) && ok);
  grpc::ByteBuffer received;
  call->Read(&received, nullptr);
  ASSERT_TRUE(queue.Next(&tag, &ok) && ok);
  grpc::Slice all;
  ASSERT_TRUE(received.DumpToSingleSlice(&all).ok());
  const std::string list(reinterpret_cast<const char*>(all.begin()),
                         all.size());
  EXPECT_NE(list.find("seer.v1.CompletionService"), std::string::npos);
  EXPECT_NE(list.find("grpc.health.v1.Health"), std::string::npos);
  context.TryCancel();
  grpc::Status status;
  call->Finish(&status, nullptr);
  queue.Next(&tag, &ok);
  queue.Shutdown();
  while (queue.Next(&tag, &ok)) {
  }
}

TEST(GrpcServerTest, BrokenMessagesAreRefusedAndLeaveNoTrace) {
  InProcessServer server{InProcessServer::Options()};
  std::string response;
  const std::string method = "/seer.v1.CompletionService/CompleteOnce";
  // Field 2 is `text`: not UTF-8; then a length beyond the end.
  for (const std::string& bytes :
       {StringField(2, "a\xff\xfe"), std::string("\x12\x7f"
                                                 "abc")}) {
    const grpc::Status status =
        UnaryCall(server.NewChannel(), method, bytes, &response);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_NE(status.error_message().find("seer.v1.CompleteRequest"),
              std::string::npos);
  }
  EXPECT_TRUE(server.engine().requests().empty());
  EXPECT_TRUE(
      UnaryCall(server.NewChannel(), method, StringField(2, "a"), &response)
          .ok());
}

TEST(GrpcServerTest, APortInUseIsAnError) {
  InProcessServer server{InProcessServer::Options()};
  GrpcServer::Options options;
  options.address.port = server.server().port();
  const auto second = GrpcServer::Start(options, {});
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_NE(second.status().message().find("in use"), std::string::npos);
}

TEST(GrpcServerTest, OthersMayOnlyConnectOverTlsOrByPermission) {
  GrpcServer::Options options;
  EXPECT_TRUE(options.Validate().ok());
  options.address.host = "0.0.0.0";
  EXPECT_EQ(options.Validate().code(), absl::StatusCode::kInvalidArgument);
  options.allow_insecure_non_loopback = true;
  EXPECT_TRUE(options.Validate().ok());
  options.allow_insecure_non_loopback = false;
  options.tls.certificate_chain = "certificate";
  EXPECT_FALSE(options.Validate().ok());
  options.tls.private_key = "key";
  EXPECT_TRUE(options.Validate().ok());
}

TEST(GrpcServerTest, LimitsHaveRanges) {
  GrpcServer::Options options;
  options.max_concurrent_streams = 0;
  EXPECT_FALSE(options.Validate().ok());
  options = GrpcServer::Options();
  options.keepalive_time = absl::ZeroDuration();
  EXPECT_FALSE(options.Validate().ok());
  options = GrpcServer::Options();
  options.max_connection_age = absl::InfiniteDuration();
  EXPECT_FALSE(options.Validate().ok());
}

// What a client with these credentials gets from GetLoad.
grpc::StatusCode GetLoadOverTls(InProcessServer& server,
                                const grpc::SslCredentialsOptions& options) {
  grpc::ChannelArguments arguments;
  arguments.SetSslTargetNameOverride("seer.test");
  auto stub = v1::CompletionService::NewStub(grpc::CreateCustomChannel(
      server.target(), grpc::SslCredentials(options), arguments));
  grpc::ClientContext context;
  v1::Load load;
  return stub->GetLoad(&context, v1::GetLoadRequest(), &load).error_code();
}

TEST(GrpcServerTest, TlsIsServedAndClientsMayHaveToShowCertificates) {
  const SelfSigned identity = MakeSelfSigned("seer.test");
  const SelfSigned member = MakeSelfSigned("member");
  const SelfSigned stranger = MakeSelfSigned("stranger");
  InProcessServer::Options options;
  options.server.tls.certificate_chain = identity.certificate;
  options.server.tls.private_key = identity.private_key;
  grpc::SslCredentialsOptions anonymous;
  anonymous.pem_root_certs = identity.certificate;
  {
    InProcessServer server(options);
    EXPECT_EQ(GetLoadOverTls(server, anonymous), grpc::StatusCode::OK);
    grpc::SslCredentialsOptions mistrustful;
    mistrustful.pem_root_certs = stranger.certificate;
    EXPECT_EQ(GetLoadOverTls(server, mistrustful),
              grpc::StatusCode::UNAVAILABLE);
    grpc::ClientContext context;
    v1::Load load;
    EXPECT_FALSE(
        server.stub().GetLoad(&context, v1::GetLoadRequest(), &load).ok());
  }
  options.server.tls.client_ca = member.certificate;
  InProcessServer server(options);
  auto with = [&](const SelfSigned& client) {
    grpc::SslCredentialsOptions credentials = anonymous;
    credentials.pem_cert_chain = client.certificate;
    credentials.pem_private_key = client.private_key;
    return credentials;
  };
  EXPECT_EQ(GetLoadOverTls(server, with(member)), grpc::StatusCode::OK);
  EXPECT_EQ(GetLoadOverTls(server, with(stranger)),
            grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(GetLoadOverTls(server, anonymous), grpc::StatusCode::UNAVAILABLE);
}

TEST(GrpcServerTest, BrokenCertificatesAreAnError) {
  GrpcServer::Options options;
  options.tls.certificate_chain = "no certificate";
  options.tls.private_key = "no key";
  EXPECT_FALSE(GrpcServer::Start(options, {}).ok());
}

TEST(GrpcServerTest, ShutdownEndsWhatIsLeft) {
  InProcessServer::Options options;
  options.script = [](const GenerationRequest&) {
    return FakeReply{{AcceptedEvent{}}, absl::ZeroDuration()};
  };
  InProcessServer server(options);
  v1::CompleteRequest request;
  request.set_text("a");
  grpc::ClientContext context;
  auto reader = server.stub().Complete(&context, request);
  v1::CompleteResponse frame;
  ASSERT_TRUE(reader->Read(&frame));
  server.server().Shutdown(absl::Now());
  while (reader->Read(&frame)) {
  }
  EXPECT_FALSE(reader->Finish().ok());
  EXPECT_TRUE(server.engine().WaitForCancelled(1));
}

}  // namespace
}  // namespace seer
