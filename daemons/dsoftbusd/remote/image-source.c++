#include "daemons/dsoftbusd/remote/image-source.h"

#include <kj/debug.h>

namespace nexus {

class ImageSource::Image final : public HeldImage {
 public:
  // Each look at the response counts against the bound of what may be read of a message: one is enough.
  Image(ImageSource& source, Response answered, kj::ArrayPtr<const kj::byte> content)
      : source(source),
        response(kj::mv(answered)),
        content(content),
        head(encodeImageHeader(ImageStatus::OK, content)) {
    source.held.add(this);
  }
  ~Image() noexcept(false) {
    auto& all = source.held;
    for (auto& image : all) {
      if (image == this) image = all.back();
    }
    all.removeLast();
  }

  kj::ArrayPtr<const kj::byte> header() const override { return head; }
  kj::ArrayPtr<const kj::byte> bytes() const override { return content; }

 private:
  ImageSource& source;
  Response response;
  kj::ArrayPtr<const kj::byte> content;  // in it
  kj::Array<kj::byte> head;
};

kj::Promise<ImageSource::Answer> ImageSource::image() {
  auto late = timer.afterDelay(BUILD).then([]() -> Answer {
    KJ_LOG(WARNING, "no image for a peer: bundlemgrd does not answer");
    return {ImageStatus::FAILED, nullptr};
  });
  return ask()
      .catch_([](kj::Exception&& exception) -> Answer {
        KJ_LOG(WARNING, "no image for a peer", exception.getDescription());
        return {ImageStatus::FAILED, nullptr};
      })
      .exclusiveJoin(kj::mv(late));
}

kj::Promise<ImageSource::Answer> ImageSource::ask() {
  WaitQueue::Turn turn(asking);
  while (!turn.isFirst()) co_await turn.wait();
  auto response = co_await get().fetchImageRequest().send();
  co_return hold(kj::mv(response));
}

ImageSource::Answer ImageSource::hold(Response response) {
  kj::ArrayPtr<const kj::byte> bytes = response.getImage();
  if (bytes.size() > MAX_IMAGE_BYTES) return {ImageStatus::FAILED, nullptr};
  for (auto image : held) {
    if (image->bytes() == bytes) return {ImageStatus::OK, kj::Own<HeldImage>(kj::addRef(*image))};
  }
  if (held.size() >= MAX_IMAGES) return {ImageStatus::BUSY, nullptr};
  return {ImageStatus::OK, kj::Own<HeldImage>(kj::refcounted<Image>(*this, kj::mv(response), bytes))};
}

}  // namespace nexus
