"""The account of a script that was run under observation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from bnlint.findings import Finding, Group, Location, Report
from bnlint.runtime.observed import Mode, Observed
from bnlint.runtime.oracle import Verdict
from bnlint.runtime.pages.account import WORST_FIRST, Account, Cause, Cell, Row, in_order, whole, worst
from bnlint.runtime.pages.symptoms import SYMPTOMS, Seen, Symptom, inverted, look, symptoms_of
from bnlint.runtime.pages.words import ABSENT, average, count, plain, sentence

_ENDED = {
    "timeout": "The script was stopped at its time limit; this is what was seen until then.",
    "memory": "The script was stopped at its memory limit; this is what was seen until then.",
    "max-steps": "The script was stopped after the training steps that were asked for.",
    "exception": "The script ended with an exception; this is what was seen until then.",
    "interrupt": "The script was interrupted; this is what was seen until then.",
}
_WORDS = {
    Mode.BATCH: "batch",
    Mode.MOVING: "moving",
    Mode.BOTH: "either",
    Mode.NEITHER: "neither",
}
_UNEXPLAINED = "No finding explains it; it may be meant."
_SUPPRESSED = "The finding about it is suppressed."


def account_of_run(observed: Observed, report: Report, title: str = "") -> Account:
    """What was seen of a script, with the findings that explain it."""
    told = [(seen, list(symptoms_of(seen))) for seen in look(observed)]
    findings = [finding for finding in report.findings if finding.code != "BN003"]
    known = {code for _, symptoms in told for symptom, _ in symptoms for code in symptom.codes}
    unexplained = [finding for finding in findings if finding.code not in known]
    codes = {finding.code for finding in findings}
    silenced = {entry.finding.code for entry in report.suppressed}
    rows = [
        _row(seen, [*_causes(symptoms, codes, silenced), *_pointed_at(seen, unexplained)])
        for seen, symptoms in told
    ]
    verdict = _verdict(rows, findings)
    first, more = _say(observed, rows, verdict, findings)
    if observed.ended:
        more.append(_ENDED.get(observed.ended, f"The script ended by {plain(observed.ended)}."))
    return Account(
        title=plain(title or observed.entry),
        verdict=verdict,
        sentence=first,
        more=more,
        rows=in_order(rows),
        notes=[*map(plain, observed.notes), *map(plain, report.notes)],
        many={symptom.one: symptom.many for symptom in SYMPTOMS},
        facts=[*_facts(observed)],
        findings=list(report.findings),
    )


def _causes(symptoms: list[tuple[Symptom, str]], codes: set[str], silenced: set[str]) -> Iterator[Cause]:
    for symptom, text in symptoms:
        rule = next(iter(sorted(symptom.codes & codes)), "")
        if rule or symptom is SYMPTOMS[0]:
            yield Cause(Verdict.FAIL, text, rule, symptom.one, symptom.so)
        else:
            why = _SUPPRESSED if symptom.codes & silenced else _UNEXPLAINED
            yield Cause(Verdict.WARN, text, what=symptom.one, so=why)


def _pointed_at(seen: Seen, findings: list[Finding]) -> Iterator[Cause]:
    """The findings without a symptom that name the line of the layer."""
    places = {
        _line(place) for place in (seen.layer.site, *(p.site for p in (*seen.training, *seen.inference)))
    }
    for finding in findings:
        named = (finding.location, *(step.location for step in finding.steps))
        if places & {_line(place) for place in named}:
            verdict = Verdict.FAIL if finding.group in (Group.ERROR, Group.WARNING) else Verdict.WARN
            what = f"is part of what {finding.code} reports"
            yield Cause(verdict, sentence(plain(finding.message)), finding.code, what)


def _line(place: Location | None) -> tuple[object, ...]:
    # Without a place there is nothing to be equal to.
    return (place.path, place.line, place.cell) if place else (object(),)


def _row(seen: Seen, causes: list[Cause]) -> Row:
    layer = seen.layer
    known = bool(seen.training_modes or seen.inference_modes)
    verdict = worst([*(cause.verdict for cause in causes), Verdict.PASS if known else Verdict.SKIP])
    causes = sorted(causes, key=lambda cause: WORST_FIRST.index(cause.verdict))
    if not known and not causes:
        what = "did not run, or could not be looked at"
        causes = [Cause(Verdict.SKIP, "No training step and no evaluation with it was seen.", what=what)]
    return Row(
        layer=layer,
        verdict=verdict,
        training=_formula(seen.training_modes, bad=_training_is_wrong(seen)),
        inference=_inference(seen),
        moved=_moved(seen),
        momentum=_momentum(seen),
        divergence=layer.divergence,
        independence=_independence(seen),
        headline=causes[0].what if causes else "",
        causes=causes,
        train_sample=layer.train_sample,
        inference_sample=layer.inference_sample,
    )


def _training_is_wrong(seen: Seen) -> bool:
    wrong = {Mode.NEITHER, Mode.MOVING if seen.layer.trainable else Mode.BATCH}
    return bool(wrong & set(seen.training_modes))


def _formula(modes: list[Mode], bad: bool) -> Cell:
    return Cell(" and ".join(_WORDS[mode] for mode in modes) or "not seen", bad)


def _inference(seen: Seen) -> Cell:
    modes = seen.inference_modes
    cell = _formula(modes, bad=bool({Mode.BATCH, Mode.NEITHER} & set(modes)))
    if not seen.left_out:
        return cell
    return Cell(f"{cell.text} and left out" if modes else "left out", bad=True)


def _moved(seen: Seen) -> Cell:
    if not seen.layer.has_statistics:
        return Cell("has none")
    answer = {True: "yes", False: "no", None: ABSENT}[seen.moved]
    if seen.moved_in_inference:
        return Cell(f"{answer}, and in evaluation", bad=True)
    bad = seen.moved is not None and seen.moved != seen.layer.trainable
    return Cell(answer, bad)


def _momentum(seen: Seen) -> Cell:
    declared, measured = seen.layer.momentum, seen.momentum
    if declared is None and measured is None:
        return Cell(ABSENT)
    text = f"{average(declared)} / {average(measured)}"
    if declared is None or measured is None:
        return Cell(text)
    if inverted(declared, measured):
        return Cell(f"{text} inverted", bad=True)
    return Cell(
        text, bad=any(symptom.many.startswith("have another momentum") for symptom, _ in symptoms_of(seen))
    )


def _independence(seen: Seen) -> Cell:
    measured = seen.layer.independence
    if measured is not None:
        return Cell("yes") if measured <= 1 else Cell("no", bad=True)
    modes = seen.inference_modes
    if Mode.BATCH in modes:
        return Cell("no", bad=True)
    # The formula with the moving statistics has no other sample in it.
    return Cell("yes") if modes == [Mode.MOVING] else Cell(ABSENT)


def _verdict(rows: list[Row], findings: Iterable[Finding]) -> Verdict:
    counts = (Group.ERROR, Group.WARNING)
    failed = [Verdict.FAIL for finding in findings if finding.group in counts]
    return worst([*failed, *(row.verdict for row in rows)])


def _say(
    observed: Observed, rows: list[Row], verdict: Verdict, findings: list[Finding]
) -> tuple[str, list[str]]:
    """The verdict in plain words, and what else there is to say."""
    if not rows:
        return "No batch-norm layer was seen in this run.", []
    bad = [row for row in rows if row.verdict in (Verdict.FAIL, Verdict.WARN)]
    if not bad:
        if verdict is Verdict.FAIL:
            return f"{plain(findings[0].message).rstrip('.')}.", []
        return _well(observed, rows, verdict), []
    certain = [row for row in rows if row.verdict is Verdict.FAIL]
    groups: Counter[str] = Counter()
    for row in certain or bad:
        groups[row.headline] += 1
    said = [_group(headline, number, len(rows), observed) for headline, number in groups.most_common()]
    first, *rest = said
    if not certain:
        first = f"Nothing is certainly broken, but {first[0].lower()}{first[1:]}"
    return first, [*rest, *_also(certain or bad)]


def _group(headline: str, number: int, total: int, observed: Observed) -> str:
    symptom = next((symptom for symptom in SYMPTOMS if symptom.one == headline), None)
    text = headline if symptom is None or number == 1 else symptom.many
    after = ""
    if symptom is not None and "never learned" in symptom.one and observed.train_steps:
        after = (
            f": after {count(observed.train_steps, 'training step')} "
            f"{'it still holds the values it' if number == 1 else 'they still hold the values they'} started with"
        )
    return f"{whole(number, total)} {text}{after}."


def _also(bad: list[Row]) -> Iterator[str]:
    """What else is wrong with the broken layers."""
    others = Counter(cause.what for row in bad for cause in row.causes[1:] if cause.verdict is row.verdict)
    many = {symptom.one: symptom.many for symptom in SYMPTOMS}
    for what, number in others.items():
        if len(bad) == 1:
            yield f"Besides, it {what}."
        elif number == len(bad):
            yield f"Besides, {'both' if number == 2 else 'all of them'} {many.get(what, what)}."
        else:
            yield f"Besides, {number:,} of them {many.get(what, what) if number > 1 else what}."


def _well(observed: Observed, rows: list[Row], verdict: Verdict) -> str:
    if verdict is Verdict.SKIP:
        return "Nothing can be said: no batch-norm layer was seen at work."
    seen = [row for row in rows if row.verdict is Verdict.PASS]
    which = whole(len(seen), len(rows))
    if not observed.evaluations():
        return f"{which} learned as {_should(rows)} in training; no evaluation was seen."
    return f"{which} learned in training and {'is' if len(rows) == 1 else 'are'} used in evaluation as {_should(rows)}."


def _should(rows: list[Row]) -> str:
    return "it should" if len(rows) == 1 else "they should"


def _facts(observed: Observed) -> Iterator[tuple[str, str]]:
    for name, version in sorted(observed.frameworks.items()):
        yield plain(name), plain(version)
    yield "Training steps", f"{observed.train_steps:,}"
    yield "Evaluations", f"{sum(run.count for run in observed.evaluations()):,}"
    yield "Batch-norm layers", f"{len(observed.layers):,}"
    if observed.ended:
        yield "Ended by", plain(observed.ended)
