#!/usr/bin/env python3
"""Writes a copy of a source file with one rule broken on purpose.

usage: mutate.py MUTANT SOURCE OUT

A test that is built with the copy must fail. The text that is replaced must stand in the source
exactly once: otherwise the build fails, so that a mutant cannot silently become the original.
"""
import sys

MUTANTS = {
    # They still count, so that it takes more than a look at the counters to find them.
    "old_step": ("++s.counters.old_step;\n    return false;", "++s.counters.old_step;"),
    "lower_epoch": ("++s.counters.old_epoch;\n    return false;", "++s.counters.old_epoch;"),
    "need_prefix": ("++s.counters.need_prefix;\n    return OweEdge(",
                    "++s.counters.need_prefix;\n    if (have < 0) return OweEdge("),
    "truncation": ("session.have = end;", "session.have = std::max(session.have, end);"),
    # edge/session.cc
    "replay_off_by_one": ("slot.sent = std::min(from, slot.answered);",
                          "slot.sent = std::min(from + 1, slot.answered);"),
    "answer_epoch": ("if (found && slot.epoch == epoch) return &slot;",
                     "if (found && epoch <= slot.epoch) return &slot;"),
    # Of sealed sessions alone, so that it is the rule of numbers that finds it.
    "step_again": ("slot.frames_max = 1;\n",
                   "slot.frames_max = 1;\n  if (slot.keys) slot.step -= slot.in_flight.size();\n"),
    # edge/loop.cc
    "seal_unchecked": ("if (sealed.ok()) return true;",
                       "if (sealed.ok() || word.sealed) return true;"),
    # worker/loop.cc
    "grant_unsigned": (
        "if (good.ok()) good = CheckSignature(SignersOf(state.coordinators), grant);", ""),
    # edge/apply.cc
    "at_hops": ("Retry(s, now, slot, slot.at_hops, why);",
                "Retry(s, now, slot, slot.answered, why);"),
    # coordinator/adopt.cc
    "one_vote": ("{ return IsMost(s, VotesOf(s, Time::max())); }", "{ return ObeyedByAll(s); }"),
    # coordinator/plan.cc
    "lost_worker": ("if (now - m.heard > silence_max)",
                    "if (now - m.heard > 1000 * silence_max)"),
}


def main():
    mutant, source, out = sys.argv[1:]
    before, after = MUTANTS[mutant]
    with open(source, encoding="utf-8") as file:
        text = file.read()
    if text.count(before) != 1:
        sys.exit(f"error: mutant {mutant}: expected '{before}' once in {source}, "
                 f"found it {text.count(before)} times")
    with open(out, "w", encoding="utf-8") as file:
        file.write(text.replace(before, after))


if __name__ == "__main__":
    main()
