#include "client/flags/connection_flags.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"
#include "client/admin/gate_admin_client.h"
#include "client/flags/text_input.h"

namespace seer {
namespace {

// A name without a port is port 443 to gRPC; a URL it would look up.
absl::Status CheckServer(absl::string_view server, absl::string_view example) {
  const bool is_url = absl::StartsWith(server, "http://") ||
                      absl::StartsWith(server, "https://");
  const bool is_target =
      !is_url &&
      (absl::StrContains(server, ":/") || absl::StartsWith(server, "unix:") ||
       absl::StartsWith(server, "unix-abstract:"));
  if (server.empty() || is_target) return absl::OkStatus();
  const size_t colon = server.rfind(':');
  int port = 0;
  if (!is_url && colon != absl::string_view::npos &&
      absl::SimpleAtoi(server.substr(colon + 1), &port) && port >= 1 &&
      port <= 65535) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("--server cannot be \"", server,
                   "\": must be HOST:PORT, such as ", example));
}

// Without the newline that editors end files with.
absl::StatusOr<std::string> ReadToken(const std::string& path) {
  SEER_ASSIGN_OR_RETURN(std::string token, ReadTextFile(path));
  absl::StripTrailingAsciiWhitespace(&token);
  if (token.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(path, " holds no token"));
  }
  return token;
}

}  // namespace

bool IsLocalTarget(absl::string_view target) {
  if (absl::StartsWith(target, "unix:") ||
      absl::StartsWith(target, "unix-abstract:")) {
    return true;
  }
  // Of a dns: target with an authority "//" stays, which is no host.
  for (const char* scheme : {"dns:///", "dns:", "ipv4:", "ipv6:"}) {
    if (absl::ConsumePrefix(&target, scheme)) break;
  }
  std::string host(target.substr(0, target.rfind(':')));
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  in_addr v4;
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1) {
    return ntohl(v4.s_addr) >> 24 == 127;
  }
  in6_addr v6;
  if (inet_pton(AF_INET6, host.c_str(), &v6) == 1) {
    return IN6_IS_ADDR_LOOPBACK(&v6);
  }
  return host == "localhost";
}

void ConnectionFlags::AddTo(ServerPort port, FlagSet* flags) {
  const bool is_admin = port == ServerPort::kGateAdmin;
  default_server_ = is_admin ? kDefaultAdminTarget : ClientOptions().target;
  server_ = default_server_;
  flags->Group("Connection");
  flags->Add("server", &server_, "HOST:PORT",
             (is_admin ? "the server's admin port; default "
                       : "the server; default ") +
                 default_server_);
  flags->Add("timeout", &timeout_, "DURATION",
             "give up after this long, e.g. 90s or 5m; default: never");
  flags->Add("retries", &retries_, "N",
             "further tries while the server is unavailable and has not yet "
             "answered; default " +
                 std::to_string(retries_));
  flags->Add("tls", &tls_, "", "use TLS with the system's certificates");
  flags->Add("ca_file", &ca_file_, "PEM",
             "use TLS and trust these certificates");
  flags->Add("cert_file", &cert_file_, "PEM",
             "use TLS and show this certificate (needs --key_file)");
  flags->Add("key_file", &key_file_, "PEM", "the key of --cert_file");
  flags->Add("tls_server_name", &tls_server_name_, "NAME",
             "expect the server's certificate to carry this name");
  if (is_admin) {
    flags->Add("admin_token_file", &admin_token_file_, "FILE",
               "send the token in this file; over a network only with TLS");
    flags->Add("allow_insecure_token", &allow_insecure_token_, "",
               "send it to other machines without TLS: only where something "
               "else protects the connection, such as a mesh");
  }
}

absl::StatusOr<ClientOptions> ConnectionFlags::Options() const {
  ClientOptions options;
  SEER_RETURN_IF_ERROR(CheckServer(server_, default_server_));
  options.target = server_;
  if (timeout_ <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError("--timeout must be positive");
  }
  if (retries_ < 0 || retries_ > 100) {
    return absl::InvalidArgumentError("--retries must be 0 to 100");
  }
  options.retry.max_attempts = retries_ + 1;
  if (!admin_token_file_.empty()) {
    SEER_ASSIGN_OR_RETURN(options.bearer_token, ReadToken(admin_token_file_));
  }
  if (cert_file_.empty() != key_file_.empty()) {
    return absl::InvalidArgumentError("--cert_file and --key_file go together");
  }
  if (!tls_ && ca_file_.empty() && cert_file_.empty()) {
    if (!tls_server_name_.empty()) {
      return absl::InvalidArgumentError("--tls_server_name needs --tls");
    }
    if (!options.bearer_token.empty() && !allow_insecure_token_ &&
        !IsLocalTarget(server_)) {
      return absl::InvalidArgumentError(
          absl::StrCat("the token would go to ", server_,
                       " in clear text: --admin_token_file needs --tls there, "
                       "or --allow_insecure_token"));
    }
    return options;
  }
  ClientOptions::Tls tls;
  tls.server_name = tls_server_name_;
  if (!ca_file_.empty()) {
    SEER_ASSIGN_OR_RETURN(tls.root_certificates, ReadTextFile(ca_file_));
  }
  if (!cert_file_.empty()) {
    SEER_ASSIGN_OR_RETURN(tls.certificate_chain, ReadTextFile(cert_file_));
    SEER_ASSIGN_OR_RETURN(tls.private_key, ReadTextFile(key_file_));
  }
  options.tls = std::move(tls);
  return options;
}

}  // namespace seer
