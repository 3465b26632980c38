#include "tools/nexusctl/command.h"

namespace nexus::ctl {

kj::OneOf<idl::DSoftBus::Client, Report> openBus(Context& context) {
  auto& options = context.options;
  auto path = options.bus.size() > 0 ? kj::str(options.bus) : kj::str(options.run, "/bus.sock");
  auto opened = context.doors.open(path);
  KJ_IF_MAYBE (reason, opened.tryGet<Closed>()) return closedReport(*reason, "dsoftbusd", path);
  return opened.get<capnp::Capability::Client>().castAs<idl::DSoftBus>();
}

// What brings a socket there, and which options say that it is elsewhere. bus-admin and bus-trust are exports that a
// node may lack.
static kj::String howToFind(kj::StringPtr path) {
  auto says = [&](kj::StringPtr file) { return path.endsWith(file); };
  if (says("/bus-admin.sock") || says("/bus-trust.sock")) {
    auto name = says("/bus-admin.sock") ? "bus-admin"_kj : "bus-trust"_kj;
    return kj::str("Start it with --export ", name, "=unix:", path, ", or say where its socket is: --run FOLDER",
                   name == "bus-admin"_kj ? ", --admin PATH." : ".");
  }
  return kj::str("Start it, or say where its socket is: --run FOLDER, --bus PATH.");
}

Report closedReport(Closed reason, kj::StringPtr daemon, kj::StringPtr path) {
  switch (reason) {
    case Closed::NO_SOCKET:
      return failure(Exit::NOT_RUNNING, kj::str(daemon, " is not running (no socket at ", path, ")."), howToFind(path));
    case Closed::NOT_RUNNING:
      return failure(Exit::NOT_RUNNING, kj::str(daemon, " is not running (nobody listens at ", path, ")."),
                     kj::str("Start ", daemon, "."));
    case Closed::FORBIDDEN:
      return failure(Exit::DENIED, kj::str("This user may not connect to ", path, "."),
                     "A socket is an identity: run nexusctl as the user who owns it.");
    case Closed::BUSY:
      return failure(Exit::TIMED_OUT, kj::str(daemon, " does not accept connections at ", path, " just now."));
  }
  KJ_UNREACHABLE;
}

Report exceptionReport(const kj::Exception& exception) {
  // kj puts "remote exception: " before what the daemon said.
  kj::StringPtr said = exception.getDescription();
  constexpr auto REMOTE = "remote exception: "_kj;
  while (said.startsWith(REMOTE)) said = said.slice(REMOTE.size());
  switch (exception.getType()) {
    case kj::Exception::Type::DISCONNECTED:
      return failure(Exit::NOT_RUNNING, kj::str("The daemon ended, or closed the connection: ", said));
    case kj::Exception::Type::UNIMPLEMENTED:
      return failure(Exit::UNSUPPORTED, kj::str("The daemon does not support this: ", said),
                     "It may be older than this nexusctl.");
    case kj::Exception::Type::OVERLOADED:
      return failure(Exit::OTHER, kj::str("The daemon is at a bound: ", said), "Try again later.");
    case kj::Exception::Type::FAILED:
      return failure(Exit::OTHER, kj::str("The call failed: ", said));
  }
  KJ_UNREACHABLE;
}

Report timeoutReport(kj::Duration timeout) {
  return failure(Exit::TIMED_OUT, kj::str("No answer within ", timeout / kj::MILLISECONDS, " ms."),
                 "Wait longer with --timeout MS; see what runs: nexusctl status; and why there is no session: nexusctl "
                 "bus peers.");
}

}  // namespace nexus::ctl
