#pragma once
// This node's bundle image for those who send it: asks bundlemgrd, and hands out what it says for as long as somebody
// holds it. An image may have 16 MiB, so bundlemgrd is asked for one at a time, and an answer with the bytes of an
// image that somebody still holds is that image: it is in memory once however many peers get it. Owned by the image
// server. Knows nothing of peers and streams.
#include <kj/function.h>
#include <kj/refcount.h>
#include <kj/timer.h>
#include <kj/vector.h>

#include "daemons/dsoftbusd/remote/image-transfer.h"
#include "idl/bundlemgr.capnp.h"
#include "libs/nexus-net-os/base/wait-queue.h"

namespace nexus {

class HeldImage : public kj::Refcounted {
 public:
  virtual kj::ArrayPtr<const kj::byte> header() const = 0;  // of a transfer; with the image's hash
  virtual kj::ArrayPtr<const kj::byte> bytes() const = 0;
};

class ImageSource {
 public:
  // Different images held at once, as when bundles change under slow readers; with one more the node is busy. The
  // answer that is compared with them is in memory beside them.
  static constexpr size_t MAX_IMAGES = 2;
  static constexpr kj::Duration BUILD = 10 * kj::SECONDS;  // for the image to be there, with the wait for one's turn

  // `get` gives the capability over the present connection.
  ImageSource(kj::Timer& timer, kj::Function<idl::Bundlemgr::Client()> get) : timer(timer), get(kj::mv(get)) {}
  KJ_DISALLOW_COPY_AND_MOVE(ImageSource);

  struct Answer {
    ImageStatus status;
    kj::Maybe<kj::Own<HeldImage>> image;  // there if OK; to be dropped before this object
  };

  // Never fails.
  kj::Promise<Answer> image();

  size_t imagesNow() const { return held.size(); }

 private:
  class Image;
  using Response = capnp::Response<idl::Bundlemgr::FetchImageResults>;

  kj::Timer& timer;
  kj::Function<idl::Bundlemgr::Client()> get;
  kj::Vector<Image*> held;  // each for as long as it exists
  WaitQueue asking;

  kj::Promise<Answer> ask();
  Answer hold(Response response);
};

}  // namespace nexus
