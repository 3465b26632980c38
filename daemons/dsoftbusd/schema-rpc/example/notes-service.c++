#include "daemons/dsoftbusd/schema-rpc/example/notes-service.h"

#include <kj/debug.h>

namespace nexus {

using Outcome = idl::Notes::Outcome;

kj::Promise<void> NotesService::put(PutContext context) {
  auto name = context.getParams().getName(), text = context.getParams().getText();
  auto results = context.getResults();
  std::string key(name.begin(), name.size());
  if (name.size() == 0 || name.size() > MAX_NAME) {
    results.setOutcome(Outcome::BAD_NAME);
  } else if (text.size() > MAX_TEXT) {
    results.setOutcome(Outcome::TOO_LONG);
  } else if (notes.size() >= MAX_NOTES && notes.count(key) == 0) {
    results.setOutcome(Outcome::TOO_MANY);
  } else {
    notes[key] = std::string(text.begin(), text.size());
    for (auto& listener : listeners) {
      auto request = listener.onPutRequest();
      request.setName(name);
      request.setText(text);
      request.send().detach([](kj::Exception&&) {});  // a listener that is gone misses it
    }
  }
  return kj::READY_NOW;
}

kj::Promise<void> NotesService::get(GetContext context) {
  auto name = context.getParams().getName();
  auto found = notes.find(std::string(name.begin(), name.size()));
  if (found == notes.end()) {
    context.getResults().setOutcome(Outcome::NOT_FOUND);
  } else {
    context.getResults().setText(found->second.c_str());
  }
  return kj::READY_NOW;
}

kj::Promise<void> NotesService::list(ListContext context) {
  auto names = context.getResults().initNames(notes.size());
  kj::uint i = 0;
  for (auto& note : notes) names.set(i++, note.first.c_str());
  return kj::READY_NOW;
}

kj::Promise<void> NotesService::subscribe(SubscribeContext context) {
  if (listeners.size() >= MAX_LISTENERS) {
    kj::throwFatalException(KJ_EXCEPTION(OVERLOADED, "too many listeners", MAX_LISTENERS));
  }
  listeners.add(context.getParams().getListener());
  return kj::READY_NOW;
}

}  // namespace nexus
