#pragma once
// A daemon's TOML file into its Cap'n Proto config struct (idl/config.capnp). The schema is the validator: an unknown
// key or a wrong type is an error with file, line and column. Pure: takes text, gives a message; main reads the file.
#include <capnp/message.h>
#include <capnp/schema.h>
#include <kj/string.h>

namespace nexus {

// What is wrong with the file, for a person: "netstackd.toml:3:1: unknown key \"adress\" in [netstackd], did you mean
// \"address\"?"
struct ConfigError {
  kj::String message;
};

// Reads table [table] of `text` into a new root of `message`; other tables are other daemons' and ignored, but not one
// whose name is almost ours, nor a key outside of any table. A missing table leaves every default. `fileName` is for
// messages only. Null on success.
kj::Maybe<ConfigError> loadConfig(kj::StringPtr fileName, kj::StringPtr text, kj::StringPtr table,
                                  capnp::StructSchema schema, capnp::MessageBuilder& message);

}  // namespace nexus
