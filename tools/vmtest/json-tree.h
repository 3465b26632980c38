#pragma once
// A JSON document as a tree of values, for reports whose keys are data. Encoding is the Cap'n Proto library's. Pure.
#include <kj/one-of.h>
#include <kj/string.h>
#include <kj/vector.h>

#include <cstdint>

namespace nexus::vmtest {

class Json {
 public:
  Json() : value(Fields()) {}  // an empty object
  Json(kj::StringPtr text) : value(kj::heapString(text)) {}
  Json(const char* text) : value(kj::heapString(text)) {}
  Json(const kj::String& text) : value(kj::heapString(text)) {}
  Json(bool yes) : value(yes) {}
  Json(double number) : value(number) {}
  Json(int number) : value(double(number)) {}
  Json(uint64_t number) : value(double(number)) {}  // exact up to 2^53
  Json(Json&&) = default;
  Json& operator=(Json&&) = default;
  static Json array();
  static Json null();

  // Object only; keys keep their order.
  Json& set(kj::StringPtr key, Json item);
  // Array only.
  Json& add(Json item);

  kj::String text() const;  // indented, with a line feed at its end

 private:
  struct Field;
  using Fields = kj::Vector<Field>;
  using Items = kj::Vector<Json>;
  template <typename Builder>
  void fill(Builder out) const;

  struct Null {};
  kj::OneOf<kj::String, Null, bool, double, Fields, Items> value;
};

struct Json::Field {
  kj::String key;
  Json item;
};

}  // namespace nexus::vmtest
