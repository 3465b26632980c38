@0x869fa47c6d8f9ca8;
# The bus between nodes. Served by dsoftbusd. Whoever holds a DSoftBus may see the peers and call what their policy allows this node.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("nexus::idl");
$Cxx.allowCancellation;
using SocketAddress = import "common.capnp".SocketAddress;

interface DSoftBus {
  peers @0 (known :UInt32) -> (generation :UInt32, peers :List(PeerInfo));
  # Answers as soon as the table differs from generation `known` (0 answers at once).

  session @1 (peer :Text) -> (outcome :Outcome, session :PeerSession);
  # The session with the peer of that name or device id; waits while it is being made, fails only when that cannot succeed. Cancellable.

  audit @2 (after :UInt64) -> (records :List(AuditRecord), dropped :UInt64, boot :Text);
  # The kept audit records with an id above `after`, oldest first, and how many were dropped from the bounded ring.
  # Ids count from 1 in each run of dsoftbusd; boot (16 hexadecimal digits) tells the runs apart.

  explain @3 (peer :Text, service :Text, operation :Text) -> (explanation :PolicyExplanation);
  # What this node's policy says to a call of that peer, and why. Asks only: nothing is called, counted or audited. Each text has at most
  # 256 bytes, or it is FAILED.

  explainAudit @4 (auditId :UInt64) -> (outcome :AuditOutcome, record :AuditRecord, explanation :PolicyExplanation);
  # Why the call of that audit record of this node was answered as it was. A refused caller gets the id with its refusal.

  policy @5 () -> (state :PolicyState);
  # What decides now. nexusctl policy diff and show read it.

  registerStream @6 (peer :Text, name :Text, priority :UInt8 = 4) -> (outcome :Outcome, registration :StreamRegistration);
  # A stream to the peer that is opened again in each new session with it, for as long as the registration is held. Waits for nothing: the
  # streams come from the registration. name and priority as in PeerSession.openStream. OVERLOADED beyond 32 registrations of a client or
  # 256 of all.

  streams @7 (peer :Text) -> (outcome :Outcome, streams :List(StreamInfo), name :Text);
  # The streams of the session with that peer as they are now, whoever opened them, by rising id: at most 128. peer: name or device id.
  # name: the peer's in the trust table. unreachable: there is no session at the moment. Asks only; waits for nothing.

  enum Outcome {
    ok @0;
    unknownPeer @1;
    notTrusted @2;
    unreachable @3;
  }

  enum AuditOutcome {
    ok @0;
    neverGiven @1;
    # No record had that id since the daemon started.
    dropped @2;
    # There was one, but the bounded ring has let it go.
  }
}

struct PeerInfo {
  name @0 :Text;
  # From the trust table; empty for a peer that is not in it.
  deviceId @1 :Text;
  # 64 hexadecimal digits: SHA-256 of the Ed25519 key.
  state @2 :SessionState;
  reason @3 :Text;
  # Why it is in this state.
  address @4 :SocketAddress;
  # Where it is heard; if it is not, the other end of its session. Port 0: neither.
  ageMs @5 :UInt64;
  # Since its last announcement.
  services @6 :List(Text);
  link @7 :Text;
  # The name of the link over which it was heard last.
  heard @8 :Bool;
  # Announcements of it are heard. If not, it has no ageMs, services and link.
}

struct StreamInfo {
  # One stream of a session, as this end of it sees it. Never a byte of what it carries.

  id @0 :UInt32;
  name @1 :Text;
  priority @2 :UInt8;
  # 0 is served first, 7 last.
  openedHere @3 :Bool;
  taken @4 :Bool;
  # By the peer; always, of one that the peer opened.
  state @5 :State;
  sendCredit @6 :UInt64;
  # Bytes that the peer lets this end send at the moment.
  receiveCredit @7 :UInt64;
  # Bytes that this end lets the peer send.
  sendWaiting @8 :UInt64;
  # Bytes that a program here wrote and that are not out yet, for want of credit or of a turn.
  receiveWaiting @9 :UInt64;
  # Bytes that arrived and that no program here has read.
  sent @10 :UInt64;
  received @11 :UInt64;
  # Bytes since it was opened.

  enum State {
    open @0;
    halfClosedLocal @1;
    # This end has closed, the peer may still send.
    halfClosedRemote @2;
    closed @3;
    # Both ends have; something still waits to be sent or read.
    reset @4;
  }
}

enum SessionState {
  idle @0;
  dialing @1;
  handshaking @2;
  ready @3;
  backoff @4;
  refused @5;
  untrusted @6;
  # Announces itself, but is not in the trust table: never dialled.
  ignored @7;
  # Its announcements are ignored: another mesh, another key than the trusted one.
}

interface PeerSession {
  # An authenticated session with one peer. Calls fail as DISCONNECTED when it ends; ask the bus for a new one. A client
  # holds at most 64 of them; one more is OVERLOADED, and dropping one gives its place back.

  ping @0 (payload :Data) -> (payload :Data, roundTripUs :UInt64);
  # Through the encrypted session; at most 256 bytes.

  call @1 (service :Text, frame :Data) -> (status :CallStatus, auditId :UInt64, reply :Data);
  # Sends one OS-lite frame to a service of the peer and waits for its answer. frame: at most 256 bytes, checked by the peer too;
  # reply: at most 512. Every refusal of the peer is a status, with the id of its audit record there.

  peer @2 () -> (name :Text, deviceId :Text);

  openStream @3 (name :Text, priority :UInt8 = 4) -> (outcome :StreamOutcome, stream :MuxStream, auditId :UInt64);
  # Opens a stream to the peer and waits until the peer has taken or refused it. name: 1 to 64 visible ASCII characters; priority: 0
  # (served first) to 7; anything else is FAILED, and so is a name that begins with "rpc:". The peer takes it if a rule there lets this node
  # open that name; with the outcome denied, auditId is that of its record there.

  acceptStream @4 () -> (name :Text, priority :UInt8, stream :MuxStream);
  # The next stream that the peer opens to this node, and that a rule here lets it open; whoever waits longest gets it. At most 16 calls
  # of a session wait, one more is OVERLOADED. Cancelling a call that waits loses no stream.

  rpc @5 (service :Text, priority :UInt8 = 2) -> (outcome :StreamOutcome, service :Capability, auditId :UInt64);
  # A service that the peer offers, to be cast to its interface. Every reference that this method gives is a stream of its own and ends with
  # it. Parameters and results are data: a call or answer with a capability in it is FAILED, and no capability crosses. Each at most 256 KiB;
  # 32 calls at once, one more is OVERLOADED; an answer that takes longer than 15 s too. A refusal of the peer is FAILED, or OVERLOADED for
  # its rate, with the id of the audit record there. DISCONNECTED when the session ends, or while the service is being restarted: ask again.
  # service: 1 to 40 characters of a-z, 0-9, '-', '.', '_', else FAILED. denied: no rule at the peer names this node and "rpc:SERVICE"; auditId as above.

  enum StreamOutcome {
    ok @0;
    denied @1;
    # No rule at the peer allows (this node, "stream:NAME", "open").
    duplicateName @2;
    # A stream of that name is open.
    tooManyStreams @3;
    # 128 of the session are open.
    notAccepted @4;
    # Nobody at the peer accepts streams, and its backlog is full.
    reset @5;
    # The peer took it and gave it up at once.
    notTrusted @6;
    # Of a registration only: the peer is not trusted here any more, which ends the registration, or does not trust this node.
  }
}

interface StreamRegistration {
  # One stream to one peer, over any number of sessions. Dropping it ends that; the stream that was given last stays with its holder.

  next @0 () -> (outcome :PeerSession.StreamOutcome, stream :MuxStream, incarnation :UInt64, auditId :UInt64);
  # A fresh stream, taken by the peer, whose acceptStream gives its other end. Waits for a session, and while the stream that came last is in
  # use: until it is dropped or reset, or its session ends, which fails it as DISCONNECTED at both ends. Nothing of it goes on in the next
  # one: what was under way may have arrived or not. incarnation: 1 for the first, 2 for the next. The peer's policy decides each time;
  # a refusal has the audit id of its record there, and after it the next call waits, 250 ms at first, doubling to 8 s. Cancelling loses nothing. One call at a time: one more is
  # OVERLOADED.
}

interface MuxStream {
  # One end of a stream of a session: ordered bytes both ways. Fails as DISCONNECTED when the stream is reset or the session ends. At most
  # 16 calls of one kind wait, one more is OVERLOADED. Dropping the last reference sends what was written and closes it in order.

  write @0 (data :Data) -> ();
  # Returns when the bytes are within the bounds of what may wait (256 KiB); so it waits while the peer does not read. At most 65536 bytes a
  # call. Writes are ordered as they were called. Not a streaming method: those hold up every later call, reads too, on the same capability.

  read @1 (maxBytes :UInt32) -> (data :Data);
  # Waits for at least one byte; empty means the peer has closed its side. maxBytes is cut to 65536; 0 is FAILED.

  close @2 () -> ();
  # Closes our sending side behind everything written so far; reading goes on.

  reset @3 () -> ();
  # Ends both directions at once, at both ends; what waits is dropped.
}

enum CallStatus {
  ok @0;
  denied @1;
  # No rule allows (this node, service, operation).
  malformed @2;
  oversized @3;
  rateLimited @4;
  backendFailed @5;
  timedOut @6;
  unauthenticated @7;
  replyOversized @8;
  cancelled @9;
  # Only in audit records: the caller's session ended before the answer, so the call may have been done.
  refused @10;
  # Only in audit records: a rule allowed the call, but its arguments go beyond what any other node may ask of that service. The caller
  # got ok, and a reply of the service's own protocol that says so; the service was not asked.
}

struct AuditRecord {
  id @0 :UInt64;
  timeMs @1 :UInt64;
  # Since the daemon started (monotonic).
  peer @2 :Text;
  service @3 :Text;
  operation @4 :Text;
  verdict @5 :CallStatus;
  requestBytes @6 :UInt32;
  # Never a payload.
  repeats @7 :UInt64;
  # With the verdict rateLimited: how many more calls of that peer, to whatever service, were refused for its rate within a second of this
  # one. They share this record, so that a flood cannot push the others out.
  policyGeneration @8 :UInt32;
  # Of the table that decided; 0 when none was asked.
  dryRun @9 :DryRunVerdict;
  change @10 :Text;
  # Not empty: no call of a peer, but a change of this node's configuration (verdict ok) or one that was refused (denied), and what.
  utcMs @11 :Int64;
  # When it was made: milliseconds since 1970 by the clock of that machine, which may be set; the id gives the order. The audit file has
  # the same time. 0: not known.
}

struct PolicyExplanation {
  allowed @0 :Bool;
  # By the policy. Means nothing when the reason is event.
  reason @1 :PolicyReason;
  rule @2 :Rule;
  # Of reason rule: the first one that matches.
  considered @3 :List(Considered);
  # Of reason noRule: all of the table, in its order.
  sentence @4 :Text;
  toAllow @5 :Text;
  # The TOML to add to the configuration of this node; empty when no line can allow it.

  struct Rule {
    index @0 :UInt32;
    # Its place in the table, from 0.
    peer @1 :Text;
    service @2 :Text;
    operations @3 :List(Text);
  }

  struct Considered {
    rule @0 :Rule;
    mismatch @1 :PolicyMismatch;
  }
}

enum PolicyReason {
  noRule @0;
  # The default: what no rule allows is denied.
  rule @1;
  unknownPeer @2;
  # No trust entry has that name, so its calls never come as far as the policy.
  unknownService @3;
  notOffered @4;
  # The service keeps that operation to its own node, whatever a rule says.
  otherCheck @5;
  # Of explainAudit: something else than the policy refused the call (its verdict says what).
  event @6;
  # Of explainAudit: the record is about no call, so nothing was allowed or denied: a pairing, a revocation, a refused connection or
  # announcement, a change of this node's configuration.
  failedLater @7;
  # Of explainAudit: a rule allowed the call, and it came to nothing all the same (its verdict says why).
}

enum DryRunVerdict {
  # What the candidate table of a dry run says beside the decision that was taken.
  same @0;
  # No dry run, or no difference.
  wouldAllow @1;
  # Denied, and the candidate would allow it.
  wouldDeny @2;
  # Allowed, and the candidate would deny it.
}

struct PolicyState {
  # What decides on this node now.
  generation @0 :UInt32;
  # From 1; grows with each table that was put into force since dsoftbusd started.
  mode @1 :Mode;
  rules @2 :List(PolicyExplanation.Rule);
  candidate @3 :List(PolicyExplanation.Rule);
  # Of a dry run.
  peers @4 :List(Peer);
  # Those that the rules are about, as trusted now.
  wouldAllow @5 :UInt64;
  wouldDeny @6 :UInt64;
  # Decisions since the start in which the candidate of a dry run differed.

  enum Mode {
    enforce @0;
    dryRun @1;
    # The rules are enforced just so; the candidate is evaluated beside them.
  }

  struct Peer {
    name @0 :Text;
    deviceId @1 :Text;
    paired @2 :Bool;
    # Not by the configuration: a reload does not touch it.
  }
}

interface BusAdmin {
  # Changes what a running node decides by. Served apart from DSoftBus (the export bus-admin), because whoever may use the bus may not
  # therefore change it. What is allowed comes only from the configuration file of the daemon: a holder can have it read again.

  reload @0 () -> (result :ReloadResult);
  # Reads the configuration file again, checks it as at the start, and puts into force what changed: all of it or nothing.

  setCandidate @1 (toml :Text) -> (outcome :Outcome, sentence :Text);
  # Begins a dry run with the policy of that configuration text (at most 1 MiB), or replaces its candidate. Until dropCandidate, a reload
  # or the end of the daemon. Nothing is allowed or denied by it.

  dropCandidate @2 () -> (outcome :Outcome);
  # Ends a dry run. unchanged: there was none.

  enum Outcome {
    applied @0;
    unchanged @1;
    # The configuration says what was in force already.
    refused @2;
    # Nothing was changed; the sentence says why.
    noFile @3;
    # The daemon was started without a configuration file.
  }

  struct ReloadResult {
    outcome @0 :Outcome;
    sentence @1 :Text;
    # One, for people: what changed, or what is wrong.
    changed @2 :List(Text);
    # The keys of the configuration whose new values are in force: "policy", "trust".
    needsRestart @3 :List(Text);
    # Of an outcome refused: keys that cannot change while the daemon runs.
    generation @4 :UInt32;
    # Of the policy now.
    streamsReset @5 :UInt32;
    # Open streams of peers that the new policy does not allow.
    auditId @6 :UInt64;
    # The record of this change or of its refusal; 0 when nothing was to be done.
  }
}

enum PolicyMismatch {
  peer @0;
  service @1;
  operation @2;
}
