//! Names, links and configurations in the documentation are correct.

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read_all(folder: &Path, ending: &str, all: &mut Vec<(PathBuf, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        // Build output and installed packages are skipped.
        let skipped = ["node_modules", "target"].contains(&name.as_str());
        if path.is_dir() && !skipped && !name.starts_with('.') {
            read_all(&path, ending, all);
        } else if name.ends_with(ending) {
            let text = std::fs::read_to_string(&path).unwrap();
            all.push((path, text));
        }
    }
}

fn files(ending: &str) -> Vec<(PathBuf, String)> {
    let mut all = Vec::new();
    read_all(&root(), ending, &mut all);
    all
}

#[test]
fn every_test_that_a_guarantee_names_exists() {
    let sources: String = files(".rs").into_iter().map(|(_, text)| text).collect();
    let guarantees = std::fs::read_to_string(root().join("docs/reference/guarantees.md")).unwrap();
    let mut named = 0;
    for quoted in guarantees.split('`').skip(1).step_by(2) {
        let name = quoted.rsplit([':', ' ']).next().unwrap();
        let is_test = quoted.contains("::") || quoted.starts_with("conformance:");
        if is_test {
            named += 1;
            assert!(
                sources.contains(&format!("fn {name}(")),
                "{quoted} does not exist"
            );
        }
    }
    assert!(named > 50, "{named} tests are named");
}

#[test]
fn every_complete_configuration_on_the_page_is_valid() {
    let page = std::fs::read_to_string(root().join("docs/reference/configuration.md")).unwrap();
    let mut complete = 0;
    for block in page.split("```toml\n").skip(1) {
        let text = block.split("```").next().unwrap();
        let tables = ["[providers.", "[check]", "[routes."];
        if !tables.iter().all(|table| text.contains(table)) || text.contains("[default.") {
            continue; // an example of single keys
        }
        // The files of secrets do not exist on this machine, so variables replace them.
        let text = text.replace("file = \"/run/secrets/", "env = \"");
        let secret = |_: &str| Some("p7Qx2mZ4vR8tK1nW6yB3hD9sF5gJ0cLa".to_owned());
        human_check_config::Deployment::builder()
            .from_text(&text, secret)
            .unwrap();
        complete += 1;
    }
    assert_eq!(complete, 3);
}

#[test]
fn every_link_between_pages_has_a_target() {
    for (page, text) in files(".md") {
        for link in text.split("](").skip(1) {
            let target = link.split(')').next().unwrap().split('#').next().unwrap();
            if !target.is_empty() && !target.contains("://") {
                assert!(
                    page.parent().unwrap().join(target).exists(),
                    "{}: {target}",
                    page.display()
                );
            }
        }
    }
}
