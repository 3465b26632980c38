#include "libs/nexus-net-os/daemon/config-loader.h"

#include <capnp/compat/json.h>
#include <capnp/dynamic.h>
#include <kj/debug.h>
#include <kj/vector.h>

#include <toml++/toml.h>
#include <sstream>
#include <string_view>

namespace nexus {

namespace {

kj::String at(kj::StringPtr file, const toml::source_region& source) {
  return kj::str(file, ':', source.begin.line, ':', source.begin.column, ": ");
}

constexpr size_t MAX_TYPING_ERROR = 2;  // names further apart are other names

// Levenshtein distance, for "did you mean".
size_t distance(kj::StringPtr a, kj::StringPtr b) {
  auto row = kj::heapArray<size_t>(b.size() + 1);
  for (size_t j = 0; j <= b.size(); j++) row[j] = j;
  for (size_t i = 1; i <= a.size(); i++) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); j++) {
      size_t next = kj::min(kj::min(row[j], row[j - 1]) + 1, diagonal + (a[i - 1] != b[j - 1]));
      diagonal = row[j];
      row[j] = next;
    }
  }
  return row[b.size()];
}

kj::String unknownKey(kj::StringPtr file, const toml::key& key, kj::StringPtr path, capnp::StructSchema schema) {
  auto name = kj::heapString(key.str().data(), key.str().size());
  kj::StringPtr best;
  size_t bestDistance = MAX_TYPING_ERROR + 1;
  for (auto field : schema.getFields()) {
    size_t d = distance(name, field.getProto().getName());
    if (d < bestDistance) bestDistance = d, best = field.getProto().getName();
  }
  auto hint = best.size() > 0 ? kj::str(", did you mean \"", best, "\"?") : kj::String();
  return kj::str(at(file, key.source()), "unknown key \"", name, "\" in [", path, "]", hint);
}

// Every key of the table and of the tables within it must be a field.
kj::Maybe<kj::String> findUnknownKey(kj::StringPtr file, const toml::table& table, kj::StringPtr path,
                                     capnp::StructSchema schema) {
  for (auto&& [key, node] : table) {
    auto name = kj::heapString(key.str().data(), key.str().size());
    auto maybeField = schema.findFieldByName(name);
    KJ_IF_MAYBE (field, maybeField) {
      auto inner = kj::str(path, '.', name);
      auto type = field->getType();
      if (type.isList() && node.is_array() && type.asList().getElementType().isStruct()) {
        auto element = type.asList().getElementType().asStruct();
        for (auto&& item : *node.as_array()) {
          if (auto* t = item.as_table()) {
            auto found = findUnknownKey(file, *t, inner, element);
            if (found != nullptr) return found;
          }
        }
      } else if (type.isStruct() && node.is_table()) {
        auto found = findUnknownKey(file, *node.as_table(), inner, type.asStruct());
        if (found != nullptr) return found;
      }
    } else {
      return unknownKey(file, key, path, schema);
    }
  }
  return nullptr;
}

// Whole tables may be another daemon's; a key outside of any is nobody's, and a name almost ours is a typing error.
kj::Maybe<kj::String> findStray(kj::StringPtr file, const toml::table& document, kj::StringPtr table) {
  for (auto&& [key, node] : document) {
    auto name = kj::heapString(key.str().data(), key.str().size());
    if (!node.is_table()) {
      return kj::str(at(file, key.source()), "\"", name, "\" stands outside of a table: put it under [", table, "]");
    }
    if (name != table && distance(name, table) <= MAX_TYPING_ERROR) {
      return kj::str(at(file, key.source()), "unknown table [", name, "], did you mean [", table, "]?");
    }
  }
  return nullptr;
}

}  // namespace

kj::Maybe<ConfigError> loadConfig(kj::StringPtr fileName, kj::StringPtr text, kj::StringPtr table,
                                  capnp::StructSchema schema, capnp::MessageBuilder& message) {
  auto root = message.initRoot<capnp::DynamicStruct>(schema);
  toml::table document;
  try {
    document = toml::parse(std::string_view(text.begin(), text.size()));
  } catch (const toml::parse_error& error) {
    auto what = error.description();
    return ConfigError{kj::str(at(fileName, error.source()), kj::heapString(what.data(), what.size()))};
  }
  auto stray = findStray(fileName, document, table);
  KJ_IF_MAYBE (found, stray) return ConfigError{kj::mv(*found)};
  auto* section = document[std::string_view(table.begin(), table.size())].as_table();
  if (section == nullptr) return nullptr;
  auto unknown = findUnknownKey(fileName, *section, table, schema);
  KJ_IF_MAYBE (found, unknown) return ConfigError{kj::mv(*found)};

  capnp::JsonCodec codec;
  codec.setRejectUnknownFields(true);
  // Key by key, so that a wrong type is told with its place.
  for (auto&& [key, node] : *section) {
    std::ostringstream json;
    json << toml::json_formatter(toml::table{{key.str(), node}});
    auto jsonText = json.str();
    auto failure =
        kj::runCatchingExceptions([&] { codec.decode(kj::arrayPtr(jsonText.data(), jsonText.size()), root); });
    KJ_IF_MAYBE (exception, failure) {
      return ConfigError{kj::str(at(fileName, key.source()), "bad value for \"",
                                 kj::heapString(key.str().data(), key.str().size()), "\" in [", table,
                                 "]: ", exception->getDescription())};
    }
  }
  return nullptr;
}

}  // namespace nexus
