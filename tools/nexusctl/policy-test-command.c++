#include "tools/nexusctl/policy-test-command.h"

#include <CLI/CLI.hpp>
#include <string>

#include "tools/nexusctl/policy-source.h"

namespace nexus::ctl {

namespace {

kj::Vector<kj::String> wordsOf(kj::ArrayPtr<const char> line) {
  kj::Vector<kj::String> words;
  size_t begin = 0;
  for (size_t i = 0; i <= line.size(); i++) {
    bool comment = i < line.size() && line[i] == '#';
    bool space = i == line.size() || line[i] == ' ' || line[i] == '\t' || line[i] == '\r' || comment;
    if (!space) continue;
    if (i > begin) words.add(kj::heapString(line.slice(begin, i)));
    begin = i + 1;
    if (comment) break;
  }
  return words;
}

struct Outcome {
  const Expectation& expected;
  bool met;
  kj::String why;
};

class PolicyTestCommand final : public Command {
 public:
  kj::StringPtr path() const override { return "policy test"_kj; }
  kj::StringPtr about() const override { return "check expectations about a policy; exit 1 when one is not met"_kj; }
  kj::StringPtr example() const override { return "expectations.txt --config dsoftbusd.toml"_kj; }

  void declare(CLI::App& app) override {
    app.add_option("FILE", file, "lines: allow|deny PEER SERVICE OPERATION")->required();
    app.add_option("--config", config, "ask this configuration file instead of the running dsoftbusd");
  }

  kj::Promise<Report> run(Context& context) override {
    auto text = readTextFile(file.c_str());
    KJ_IF_MAYBE (wrong, text.tryGet<Report>()) co_return kj::mv(*wrong);
    auto parsed = parseExpectations(file.c_str(), text.get<kj::String>());
    KJ_IF_MAYBE (wrong, parsed.tryGet<Report>()) co_return kj::mv(*wrong);
    auto opened = openPolicySource(context, config.c_str());
    KJ_IF_MAYBE (wrong, opened.tryGet<Report>()) co_return kj::mv(*wrong);
    auto& source = *opened.get<kj::Own<PolicySource>>();
    auto& expectations = parsed.get<kj::Array<Expectation>>();
    kj::Vector<Outcome> outcomes;
    for (auto& expected : expectations) {
      co_await source.explain(
          {expected.peer, expected.service, expected.operation}, [&](idl::PolicyExplanation::Reader explanation) {
            outcomes.add(
                Outcome{expected, explanation.getAllowed() == expected.allow, clean(explanation.getSentence())});
            return Report();
          });
    }
    co_return report(outcomes);
  }

 private:
  std::string file, config;

  Report report(kj::ArrayPtr<const Outcome> outcomes) {
    Report report;
    report.json = document("nexus.policy-test/1");
    auto failed = Json::array();
    kj::Vector<kj::String> lines;
    for (auto& outcome : outcomes) {
      if (outcome.met) continue;
      auto& e = outcome.expected;
      auto text = clean(kj::str(e.allow ? "allow " : "deny ", e.peer, ' ', e.service, ' ', e.operation));
      lines.add(kj::str(clean(file.c_str()), ':', e.line, ": ", text, "\n  but: ", outcome.why, '\n'));
      Json item;
      item.set("line", uint64_t(e.line)).set("expectation", text).set("but", outcome.why);
      failed.add(kj::mv(item));
    }
    size_t misses = lines.size();
    lines.add(kj::str(outcomes.size() - misses, " of ", outcomes.size(), " expectations met\n"));
    report.json.set("expectations", uint64_t(outcomes.size())).set("failed", kj::mv(failed));
    report.text = kj::strArray(lines, "");
    if (misses > 0) report.exit = Exit::OTHER;
    return report;
  }
};

}  // namespace

kj::OneOf<kj::Array<Expectation>, Report> parseExpectations(kj::StringPtr file, kj::StringPtr text) {
  kj::Vector<Expectation> expectations;
  size_t number = 0, begin = 0;
  for (size_t i = 0; i <= text.size(); i++) {
    if (i < text.size() && text[i] != '\n') continue;
    number++;
    auto words = wordsOf(text.asArray().slice(begin, i));
    begin = i + 1;
    if (words.size() == 0) continue;
    if (words.size() != 4 || (words[0] != "allow" && words[0] != "deny")) {
      return failure(Exit::BAD_CONFIG,
                     kj::str(file, ':', number, ": expected allow or deny, then PEER SERVICE OPERATION"));
    }
    expectations.add(Expectation{number, words[0] == "allow", kj::mv(words[1]), kj::mv(words[2]), kj::mv(words[3])});
  }
  // A test that tests nothing would pass for ever.
  if (expectations.size() == 0) return failure(Exit::BAD_CONFIG, kj::str(file, " holds no expectation"));
  return expectations.releaseAsArray();
}

kj::Own<Command> newPolicyTestCommand() {
  return kj::heap<PolicyTestCommand>();
}

}  // namespace nexus::ctl
