#include "tools/nexusctl/json-answer.h"

#include <capnp/compat/json.h>
#include <capnp/message.h>
#include <kj/exception.h>

namespace nexus::ctl {

namespace {

Json treeOf(capnp::JsonValue::Reader value) {
  switch (value.which()) {
    case capnp::JsonValue::BOOLEAN:
      return value.getBoolean();
    case capnp::JsonValue::NUMBER:
      return value.getNumber();
    case capnp::JsonValue::STRING:
      return clean(value.getString());
    case capnp::JsonValue::ARRAY: {
      auto list = Json::array();
      for (auto item : value.getArray()) list.add(treeOf(item));
      return list;
    }
    case capnp::JsonValue::OBJECT: {
      Json object;
      for (auto field : value.getObject()) object.set(clean(field.getName()), treeOf(field.getValue()));
      return object;
    }
    case capnp::JsonValue::NULL_:
    default:  // what the codec makes only for handlers that are not used here
      return Json::null();
  }
}

}  // namespace

Json jsonOf(capnp::DynamicStruct::Reader value) {
  capnp::MallocMessageBuilder message;
  auto root = message.initRoot<capnp::JsonValue>();
  capnp::JsonCodec codec;
  codec.encode(capnp::DynamicValue::Reader(value), value.getSchema(), root);
  return treeOf(root);
}

kj::Maybe<kj::String> readJson(kj::StringPtr text, capnp::DynamicStruct::Builder value) {
  capnp::JsonCodec codec;
  codec.setRejectUnknownFields(true);
  auto failure = kj::runCatchingExceptions([&] { codec.decode(text, value); });
  return failure.map([](const kj::Exception& e) { return kj::str(e.getDescription()); });
}

}  // namespace nexus::ctl
