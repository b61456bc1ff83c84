"""Bad samples in a run of the program: it goes on, and says what it left out."""

import json

import program
from fake import fake_pairs

from data_modules.write import write_shards


def test_a_run_with_bad_samples(corpus, tmp_path):
    pairs = list(fake_pairs(12))
    pairs[3] = pairs[3]._replace(image=b"junk")
    pairs[7] = pairs[7]._replace(image=b"")
    write_shards(pairs, tmp_path / "train")
    args = program.arguments("fit", corpus, tmp_path / "runs")
    args += ["--data.init_args.train", str(tmp_path / "train"), "--trainer.max_steps", "6"]
    args += ["--data.init_args.max_drop_rate", "0.2"]
    ended = program.here(args)
    assert ended.code == 0, ended.err
    run = tmp_path / "runs" / "run"
    lines = [json.loads(line) for line in (run / "dropped.jsonl").read_text().splitlines()]
    assert sorted((line["epoch"], line["key"], line["reason"]) for line in lines) == [
        (epoch, *drop)
        for epoch in range(2)
        for drop in (("0-00003", "unknown_picture"), ("0-00007", "empty_picture"))
    ]
    logged = program.scalars(run)
    for reason in ("unknown_picture", "empty_picture"):
        counts = logged[f"data/dropped/{reason}"]
        assert counts[max(counts)] == 2
    said = f"empty_picture 2, unknown_picture 2; see {run / 'dropped.jsonl'}"
    assert said in ended.out
