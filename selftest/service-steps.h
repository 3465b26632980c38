#pragma once
// The probes of samgrd and bundlemgrd: OS-lite frames through the osLite method, their replies decoded whole. Each
// function is the body of one step and fails with what came instead. Know the capabilities, not who serves them.
#include <kj/async.h>

#include "idl/bundlemgr.capnp.h"
#include "idl/samgr.capnp.h"

namespace nexus {

// REGISTER "vfsd" with two slots answers OK.
kj::Promise<void> samgrRegister(idl::Samgr::Client samgr);
// LOOKUP "vfsd" answers the same two slots.
kj::Promise<void> samgrLookup(idl::Samgr::Client samgr);
// LOOKUP of a name that nobody registered answers NOT_FOUND.
kj::Promise<void> samgrUnknown(idl::Samgr::Client samgr);
// The 3-byte request "bad" gets a 13-byte reply with a status that is not OK.
kj::Promise<void> samgrMalformed(idl::Samgr::Client samgr);

// LIST answers OK and the one bundle of the image.
kj::Promise<void> bundlemgrList(idl::Bundlemgr::Client bundlemgr);
// FETCH_IMAGE decodes whole and holds at least one file.
kj::Promise<void> bundlemgrImage(idl::Bundlemgr::Client bundlemgr);
// The 3-byte request "bad" gets an 8-byte reply with a status that is not OK.
kj::Promise<void> bundlemgrMalformed(idl::Bundlemgr::Client bundlemgr);

}  // namespace nexus
