// Limits of requests, and what reads them.
#ifndef SEER_SERVER_FLAGS_REQUEST_FLAGS_H_
#define SEER_SERVER_FLAGS_REQUEST_FLAGS_H_

#include "server/completion/completion_service.h"

namespace seer {

// Of the options, the limits but for that of a message's bytes, and the threads
// that read texts.
CompletionService::Options ReadRequestFlags();

}  // namespace seer

#endif  // SEER_SERVER_FLAGS_REQUEST_FLAGS_H_
