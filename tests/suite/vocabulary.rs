//! Words that this project does not use, because another word means the same thing here.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A retired word or phrase, and what to write instead. Words are compared whole, also inside of
/// names such as `no_answer` and `NoAnswer`; phrases are compared as they are written.
const RETIRED: [(&str, &str); 26] = [
    ("answer", "token, reply or response"),
    ("answers", "tokens, replies or responses"),
    ("answered", "replied, responded"),
    ("answering", "replying, responding"),
    ("vendor", "provider"),
    ("vendors", "providers"),
    ("contender", "provider"),
    ("doorkeeper", "provider"),
    ("nobody", "no visitor, no client, no check"),
    ("somebody", "the visitor, the client, the operator"),
    ("whoever", "the visitor, the client, the operator"),
    ("opinion", "observation, verdict"),
    ("unclaimed", "store unavailable"),
    ("unspent", "unused"),
    ("spent", "used, replayed"),
    ("spends", "uses"),
    ("pretend", "simulate"),
    ("lineup", "providers"),
    ("let in", "let through, fail open"),
    ("lets in", "lets through, fails open"),
    ("open door", "fail open"),
    ("put down to", "attributed to"),
    ("turned away", "refused"),
    ("makes no sense", "is invalid"),
    ("would not judge", "declined to verify"),
    ("behind its back", "without effect on visitors"),
];

/// Texts that must stay: a provider's own code, and what keys are derived from.
const KEPT: [&str; 2] = ["invalid_answer", "digests of spent tokens"];

/// Files that name retired words on purpose.
const EXEMPT: [&str; 4] = [
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "docs/decisions.md",
    "tests/suite/vocabulary.rs",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// The text files that are under version control, or would be.
fn files() -> Vec<PathBuf> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let kinds = ["css", "html", "js", "md", "rs", "toml", "yml"];
    let files = listed.lines().map(PathBuf::from).filter(|file| {
        let kind = file.extension().and_then(|kind| kind.to_str());
        let is_script = file.starts_with("scripts") || file.starts_with(".ci");
        // Recorded replies of providers have words of their own.
        let is_recorded = file.starts_with("tests/vectors");
        let is_exempt = EXEMPT.iter().any(|exempt| file == Path::new(exempt));
        (kind.is_some_and(|kind| kinds.contains(&kind)) || is_script) && !is_recorded && !is_exempt
    });
    files.filter(|file| root().join(file).exists()).collect()
}

/// Lower case, with one space between words, and names taken apart: `NoAnswer` is `no answer`.
fn words(line: &str) -> String {
    let mut words = String::from(" ");
    let mut before = ' ';
    for c in line.chars() {
        let is_new_word = c.is_ascii_uppercase() && before.is_ascii_lowercase();
        if (is_new_word || !c.is_ascii_alphanumeric()) && !words.ends_with(' ') {
            words.push(' ');
        }
        if c.is_ascii_alphanumeric() {
            words.push(c.to_ascii_lowercase());
        }
        before = c;
    }
    if !words.ends_with(' ') {
        words.push(' ');
    }
    words
}

#[test]
fn no_retired_word_is_left() {
    let mut found = Vec::new();
    for file in files() {
        let text = std::fs::read_to_string(root().join(&file)).unwrap();
        for (number, line) in text.lines().enumerate() {
            let line = KEPT
                .iter()
                .fold(line.to_owned(), |line, code| line.replace(code, ""));
            let words = words(&line);
            for (retired, instead) in RETIRED {
                let is_there = match retired.contains(' ') {
                    true => line.to_ascii_lowercase().contains(&format!("{retired} ")),
                    false => words.contains(&format!(" {retired} ")),
                };
                if is_there {
                    let place = format!("{}:{}", file.display(), number + 1);
                    found.push(format!("{place}: `{retired}`; write {instead}"));
                }
            }
        }
    }
    assert!(
        found.is_empty(),
        "{} lines:\n{}",
        found.len(),
        found.join("\n")
    );
}

#[test]
fn sections_are_those_of_rfcs_alone() {
    let mut found = Vec::new();
    for file in files() {
        let text = std::fs::read_to_string(root().join(&file)).unwrap();
        let lines: Vec<_> = text.lines().collect();
        for (number, line) in lines.iter().enumerate() {
            let words = words(line);
            let numbered = words
                .split(" section ")
                .skip(1)
                .chain(words.split(" sections ").skip(1));
            let mut numbered =
                numbered.filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
            // The name of the RFC may stand at the end of the line before.
            let before = number.checked_sub(1).map_or("", |before| lines[before]);
            let is_rfc = line.contains("RFC") || before.contains("RFC");
            if numbered.next().is_some() && !is_rfc {
                found.push(format!(
                    "{}:{}: {}",
                    file.display(),
                    number + 1,
                    line.trim()
                ));
            }
        }
    }
    assert!(
        found.is_empty(),
        "{} lines:\n{}",
        found.len(),
        found.join("\n")
    );
}

#[test]
fn names_are_taken_apart_into_words() {
    assert_eq!(
        words("let no_answer = NoAnswer;"),
        " let no answer no answer "
    );
    assert!(!words("the answering-machine unanswered").contains(" answer "));
}
