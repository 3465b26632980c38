#pragma once
// What the input hook must know of a listener: whether it can take another finished handshake. A listening pcb's
// callback argument points to one. Implemented by TcpListener.
namespace nexus {

class AcceptQueue {
 public:
  virtual bool full() const noexcept = 0;
};

}  // namespace nexus
