#ifndef SEER_SERVER_GRPC_BIND_ADDRESS_H_
#define SEER_SERVER_GRPC_BIND_ADDRESS_H_

#include <string>

namespace seer {

// Where a server listens.
struct BindAddress {
  std::string host;  // a name or a numeric address; IPv6 without brackets
  int port = 0;      // 0: any free one

  // "127.0.0.1:50051", "[::1]:50051".
  std::string ToString() const;

  // Whether only this machine can connect: localhost, 127.0.0.0/8 or ::1. Any
  // other name counts as reachable from outside.
  bool IsLoopback() const;
};

}  // namespace seer

#endif  // SEER_SERVER_GRPC_BIND_ADDRESS_H_
