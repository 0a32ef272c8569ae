// The client over TLS, against a server whose certificate is made here.

#include <memory>
#include <string>

#include "client/completion/completion_client.h"
#include "client/testing/scripted_server.h"
#include "gtest/gtest.h"
#include "openssl/bio.h"
#include "openssl/evp.h"
#include "openssl/pem.h"
#include "openssl/x509.h"
#include "openssl/x509v3.h"

namespace seer {
namespace {

struct Identity {
  std::string certificate;  // PEM, self-signed
  std::string key;          // PEM
};

std::string Drain(BIO* bio) {
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(bio, &bytes);
  std::string text(bytes, static_cast<size_t>(size));
  BIO_free(bio);
  return text;
}

// A certificate for the name "seer.test", its own root.
Identity MakeIdentity() {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* certificate = X509_new();
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
  X509_set_pubkey(certificate, key);
  X509_NAME* name = X509_get_subject_name(certificate);
  X509_NAME_add_entry_by_txt(
      name, "CN", MBSTRING_ASC,
      reinterpret_cast<const unsigned char*>("seer.test"), -1, -1, 0);
  X509_set_issuer_name(certificate, name);
  for (const auto& [id, value] :
       {std::pair<int, const char*>{NID_subject_alt_name, "DNS:seer.test"},
        {NID_basic_constraints, "critical,CA:TRUE"}}) {
    X509_EXTENSION* extension =
        X509V3_EXT_conf_nid(nullptr, nullptr, id, value);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
  }
  X509_sign(certificate, key, EVP_sha256());
  Identity identity;
  BIO* bio = BIO_new(BIO_s_mem());
  PEM_write_bio_X509(bio, certificate);
  identity.certificate = Drain(bio);
  bio = BIO_new(BIO_s_mem());
  PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
  identity.key = Drain(bio);
  X509_free(certificate);
  EVP_PKEY_free(key);
  return identity;
}

class TlsTest : public ::testing::Test {
 protected:
  explicit TlsTest(bool asks_client = false) {
    Script script;
    script.get_load = [](const auto&, auto*) { return grpc::Status::OK; };
    grpc::SslServerCredentialsOptions options(
        asks_client ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
                    : GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE);
    options.pem_key_cert_pairs.push_back(
        {identity_.key, identity_.certificate});
    options.pem_root_certs = identity_.certificate;
    server_ = std::make_unique<ScriptedServer>(
        script, grpc::SslServerCredentials(options));
  }

  absl::StatusCode Call(const std::optional<ClientOptions::Tls>& tls) {
    ClientOptions options;
    options.target = server_->address();
    options.tls = tls;
    options.retry.max_attempts = 1;
    return (*CompletionClient::Create(options))->GetLoad({}).status().code();
  }

  ClientOptions::Tls Trusting() const {
    ClientOptions::Tls tls;
    tls.root_certificates = identity_.certificate;
    tls.server_name = "seer.test";
    return tls;
  }

  const Identity identity_ = MakeIdentity();
  std::unique_ptr<ScriptedServer> server_;
};

class MutualTlsTest : public TlsTest {
 protected:
  MutualTlsTest() : TlsTest(/*asks_client=*/true) {}
};

TEST_F(TlsTest, TrustsTheGivenRoot) {
  EXPECT_EQ(Call(Trusting()), absl::StatusCode::kOk);
}

TEST_F(TlsTest, RefusesOtherServers) {
  EXPECT_EQ(Call(std::nullopt), absl::StatusCode::kUnavailable);
  ClientOptions::Tls other_name = Trusting();
  other_name.server_name = "other.test";
  EXPECT_EQ(Call(other_name), absl::StatusCode::kUnavailable);
  ClientOptions::Tls other_root = Trusting();
  other_root.root_certificates = MakeIdentity().certificate;
  EXPECT_EQ(Call(other_root), absl::StatusCode::kUnavailable);
}

TEST_F(MutualTlsTest, ShowsItsOwnCertificate) {
  EXPECT_EQ(Call(Trusting()), absl::StatusCode::kUnavailable);
  ClientOptions::Tls with_key = Trusting();
  with_key.certificate_chain = identity_.certificate;
  with_key.private_key = identity_.key;
  EXPECT_EQ(Call(with_key), absl::StatusCode::kOk);
}

}  // namespace
}  // namespace seer
