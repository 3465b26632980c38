@0x81fa54fad5234262;
# The supervisor of a node: initd, PID 1 of a guest. Whoever holds it can kill any daemon, so only the selftest of a test image gets it.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("nexus::idl");
$Cxx.allowCancellation;

interface Supervisor {
  services @0 () -> (services :List(Service));

  kill @1 (name :Text) -> (found :Bool);
  # SIGKILL to the running process of that service. The supervisor restarts it as it would after any death.

  whenRestarted @2 (name :Text, afterStarts :UInt32) -> (starts :UInt32);
  # Waits until the service has been started more than afterStarts times. At most 16 calls may wait; one more is OVERLOADED.

  report @3 (step :Text, ok :Bool, detail :Text) -> ();
  # Tells the harness the result of one selftest step, through the status channel that only the supervisor holds. step is a name as
  # libs/nexus-net-os/daemon/status-channel.h makes it from a marker; anything else is FAILED.

  order @4 (after :UInt32) -> (order :Text);
  # What the harness has told the selftest to do: the order behind the first `after` ones of this boot, as
  # libs/nexus-net-os/daemon/status-command.h writes it without the word `order`. Waits for it; at most 4 calls may wait, one more is
  # OVERLOADED.

  tell @5 (message :Text) -> ();
  # Sends one line to the harness: a `traffic` or `chaos` message of libs/nexus-net-os/daemon/status-channel.h; anything else is FAILED.

  struct Service {
    name @0 :Text;
    pid @1 :UInt32;
    # 0 while it is not running.
    starts @2 :UInt32;
    lastExit @3 :Text;
    # "exit 3", "signal 9", or empty while it has not ended.
  }
}
