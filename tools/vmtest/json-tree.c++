#include "tools/vmtest/json-tree.h"

#include <capnp/compat/json.h>
#include <capnp/message.h>
#include <kj/debug.h>

namespace nexus::vmtest {

Json Json::array() {
  Json json;
  json.value = Items();
  return json;
}

Json Json::null() {
  Json json;
  json.value = Null();
  return json;
}

Json& Json::set(kj::StringPtr key, Json item) {
  value.get<Fields>().add(Field{kj::heapString(key), kj::mv(item)});
  return *this;
}

Json& Json::add(Json item) {
  value.get<Items>().add(kj::mv(item));
  return *this;
}

template <typename Builder>
void Json::fill(Builder out) const {
  KJ_SWITCH_ONEOF(value) {
    KJ_CASE_ONEOF(text, kj::String) out.setString(text);
    KJ_CASE_ONEOF(nothing, Null) out.setNull();
    KJ_CASE_ONEOF(yes, bool) out.setBoolean(yes);
    KJ_CASE_ONEOF(number, double) out.setNumber(number);
    KJ_CASE_ONEOF(fields, Fields) {
      auto list = out.initObject(kj::uint(fields.size()));
      for (kj::uint i = 0; i < fields.size(); i++) {
        list[i].setName(fields[i].key);
        fields[i].item.fill(list[i].initValue());
      }
    }
    KJ_CASE_ONEOF(items, Items) {
      auto list = out.initArray(kj::uint(items.size()));
      for (kj::uint i = 0; i < items.size(); i++) items[i].fill(list[i]);
    }
  }
}

kj::String Json::text() const {
  capnp::MallocMessageBuilder message;
  auto root = message.initRoot<capnp::JsonValue>();
  fill(root);
  capnp::JsonCodec codec;
  codec.setPrettyPrint(true);
  return kj::str(codec.encodeRaw(root), '\n');
}

}  // namespace nexus::vmtest
