@0xf1f7ddb1dc6bfa38;
# Frames in and out of one network link. Served by virtionetd, held by one netstackd.
# Whoever holds a Nic can send any frame on the link and read every frame that arrives there; it cannot reach the device or its rings.
#
# Two paths with the same meaning. transmit/receive copy one frame per call: for tests and small tools. attach shares memory: no copy
# between the processes, no call per frame, one wake-up per batch.
#
#   virtionetd                                        netstackd
#   to-stack ring:  received frame, transmit done  ->  consumes
#   consumes  <-  to-driver ring:  frame to transmit, receive buffer returned
#
# The layout of the shared memory is libs/nexus-net-os/frame/ring-layout.h.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("nexus::idl");
$Cxx.allowCancellation;
using import "common.capnp".Fd;

interface Nic {
  transmit @0 (frame :Data) -> ();
  # Sends one Ethernet frame without FCS, 14 to mtu+14 bytes; anything else is FAILED. OVERLOADED when the transmit queue is full.
  # Fails while an attachment lives: the frames are then its business.

  receive @1 () -> (frame :Data);
  # Waits for a frame. Cancelling loses nothing. At most 16 calls may wait; one more is OVERLOADED. Frames that arrive while nobody waits
  # are kept up to a bound of 256, then the oldest is dropped and counted. Fails while an attachment lives.

  macAddress @2 () -> (address :Data);
  # 6 bytes.

  linkStatus @3 (known :UInt32) -> (status :LinkStatus);
  # Answers as soon as status.generation differs from known (0 answers at once), so that a loop over it sees every change.

  attach @4 () -> (attachment :Attachment);
  # One attachment at a time: OVERLOADED while another lives. A driver whose DMA memory is sealed to a former client ends after that
  # client is gone, and its supervisor starts a fresh one: hold the Nic through something that reconnects.

  statistics @5 () -> (counters :List(Counter));
}

struct LinkStatus {
  generation @0 :UInt32;
  up @1 :Bool;
  mtu @2 :UInt16;
  reason @3 :Text;
  # Why it is down, for people; empty when it is up.
}

struct Counter {
  name @0 :Text;
  value @1 :UInt64;
}

interface Attachment {
  # The shared rings. Dropping the last reference ends it: every buffer goes back to the driver.

  memory @0 () -> (buffers :Fd, rings :Fd, toStack :Fd, toDriver :Fd);
  # The buffer memfd, the memfd with the two rings, and two doorbells: one end each of a Unix socket pair. A byte in toStack wakes the
  # client, a byte written to toDriver wakes the driver. (Not eventfds: either side could make such a one blocking for the other.)
  # Map both memfds, then start, then read them.

  start @1 () -> ();
  # From here on no new writable mapping of either memfd can be made by anybody, and frames flow. FAILED when called twice.

  closed @2 () -> (reason :Text);
  # Waits until the attachment is over, and says why: the driver ends it when an index, offset or length in the rings is wrong.
}
