//! The rules for dependencies between crates, checked against what cargo resolves.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// Returns the names of all crates that a crate with its default features depends on, directly or
/// not.
fn tree(package: &str) -> BTreeSet<String> {
    let arguments = [
        "tree",
        "--offline",
        "--package",
        package,
        "--edges",
        "normal",
        "--prefix",
        "none",
        "--format",
        "{p}",
    ];
    output(env!("CARGO"), &arguments)
        .lines()
        .filter_map(|line| line.split(' ').next())
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// Returns the output of `cargo metadata` for this machine's target. The crates of other targets
/// need not be downloaded.
fn metadata() -> Value {
    let compiler = output("rustc", &["-vV"]);
    let host = compiler
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .unwrap();
    let arguments = [
        "metadata",
        "--offline",
        "--format-version",
        "1",
        "--filter-platform",
        host,
    ];
    serde_json::from_str(&output(env!("CARGO"), &arguments)).unwrap()
}

/// Returns the direct, normal dependencies of each published crate of the workspace.
fn direct_dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = metadata();
    let members: Vec<_> = metadata["workspace_members"]
        .as_array()
        .unwrap()
        .iter()
        .collect();
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages
        .filter(|package| members.contains(&&package["id"]) && package["publish"].is_null())
        .map(|package| {
            let normal = package["dependencies"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|d| d["kind"].is_null());
            let names = normal
                .map(|d| d["name"].as_str().unwrap().to_owned())
                .collect();
            (package["name"].as_str().unwrap().to_owned(), names)
        })
        .collect()
}

const ADAPTERS: [&str; 6] = [
    "human-check-altcha",
    "human-check-captchala",
    "human-check-hcaptcha",
    "human-check-recaptcha",
    "human-check-siteverify",
    "human-check-turnstile",
];

#[test]
fn the_core_has_no_http_no_tls_no_framework_no_json_and_few_crates() {
    let tree = tree("human-check-core");
    for name in [
        "http",
        "hyper",
        "reqwest",
        "rustls",
        "native-tls",
        "ring",
        "serde",
        "serde_json",
        "tokio",
        "actix-web",
        "rocket",
        "axum",
        "tower",
    ] {
        assert!(!tree.contains(name), "human-check-core depends on {name}");
    }
    assert!(tree.len() <= 30, "{} crates: {tree:?}", tree.len());
}

#[test]
fn turnstile_by_variables_on_actix_web_has_few_dependencies() {
    let arguments = [
        "tree",
        "--offline",
        "--package",
        "human-check",
        "--package",
        "human-check-actix-web",
        "--features",
        "human-check/turnstile,human-check/config",
        "--edges",
        "normal",
        "--prefix",
        "none",
        "--format",
        "{p}",
    ];
    let tree: BTreeSet<_> = output(env!("CARGO"), &arguments)
        .lines()
        .map(|line| line.split(" (").next().unwrap().to_owned())
        .filter(|package| !package.is_empty())
        .collect();
    for name in ["redis", "reqwest", "schemars", "sqlx"]
        .into_iter()
        .chain(ADAPTERS)
    {
        let is_there = tree
            .iter()
            .any(|package| package.starts_with(&format!("{name} ")));
        assert_eq!(is_there, name == "human-check-turnstile", "{name}");
    }
    assert!(tree.len() <= 168, "{} crates: {tree:?}", tree.len());
}

#[test]
fn adapters_do_not_depend_on_an_http_client() {
    let dependencies = direct_dependencies();
    for adapter in ADAPTERS {
        for client in ["reqwest", "hyper", "rustls"] {
            assert!(
                !dependencies[adapter].contains(client),
                "{adapter} depends on {client}"
            );
        }
        for other in ADAPTERS {
            assert!(
                !dependencies[adapter].contains(other),
                "{adapter} depends on {other}"
            );
        }
    }
}

#[test]
fn the_proof_of_work_makes_no_call() {
    let tree = tree("human-check-altcha");
    assert!(tree.contains("human-check-core"), "{tree:?}");
    for name in ["http", "human-check-http", "hyper", "reqwest", "rustls"] {
        assert!(!tree.contains(name), "human-check-altcha depends on {name}");
    }
}

#[test]
fn only_the_facade_configuration_and_the_command_line_depend_on_adapters() {
    for (package, names) in direct_dependencies() {
        let adapters = ADAPTERS.iter().filter(|a| names.contains(**a)).count();
        match package.as_str() {
            "human-check" => assert_eq!(adapters, ADAPTERS.len(), "the facade has all"),
            "human-check-config" => assert!(adapters >= 5),
            // These use functions that only the adapters have.
            "human-check-cli" | "human-check-demo" => {}
            _ => assert_eq!(adapters, 0, "{package} depends on an adapter"),
        }
    }
}

const FRAMEWORKS: [(&str, &str); 3] = [
    ("human-check-actix-web", "actix-web"),
    ("human-check-axum", "axum"),
    ("human-check-rocket", "rocket"),
];

#[test]
fn each_framework_is_in_one_crate_and_the_guard_depends_on_none() {
    for (package, names) in direct_dependencies() {
        for (integration, framework) in FRAMEWORKS {
            // The demo is an application that uses axum.
            let demo = package == "human-check-demo" && framework == "axum";
            let expected = package == integration || demo;
            assert_eq!(
                names.contains(framework),
                expected,
                "{package}: {framework}"
            );
        }
    }
    let tree = tree("human-check-guard");
    for name in ["http", "hyper", "rustls", "reqwest", "human-check-http"] {
        assert!(!tree.contains(name), "human-check-guard depends on {name}");
    }
}

#[test]
fn the_comparison_makes_no_call_and_draws_only_with_a_feature() {
    let tree = tree("human-check-compare");
    for name in [
        "http",
        "human-check-http",
        "hyper",
        "plotters",
        "ring",
        "rustls",
        "tokio",
    ] {
        assert!(
            !tree.contains(name),
            "human-check-compare depends on {name}"
        );
    }
    for (package, names) in direct_dependencies() {
        let expected = ["human-check-cli", "human-check-config", "human-check-demo"]
            .contains(&package.as_str());
        let compares = names.contains("human-check-compare");
        assert_eq!(compares, expected, "{package}: human-check-compare");
    }
}

#[test]
fn every_crate_can_be_built_with_the_compiler_it_states() {
    let metadata = metadata();
    let packages: BTreeMap<_, _> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| (package["id"].as_str().unwrap(), package))
        .collect();
    let nodes: BTreeMap<_, _> = metadata["resolve"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| (node["id"].as_str().unwrap(), &node["deps"]))
        .collect();
    for member in metadata["workspace_members"].as_array().unwrap() {
        let member = member.as_str().unwrap();
        // Unpublished crates are built with the compiler of this machine.
        if !packages[member]["publish"].is_null() {
            continue;
        }
        let stated = packages[member]["rust_version"].as_str().unwrap();
        let (mut visited, mut next) = (BTreeSet::new(), vec![member]);
        while let Some(id) = next.pop() {
            if !visited.insert(id) {
                continue;
            }
            let name = packages[id]["name"].as_str().unwrap();
            let needs = packages[id]["rust_version"].as_str().unwrap_or("1.0");
            assert!(
                version(needs)[..2] <= version(stated)[..],
                "{member} states Rust {stated}, and {name} needs {needs}"
            );
            let normal = nodes[id].as_array().unwrap().iter().filter(|dep| {
                let kinds = dep["dep_kinds"].as_array().unwrap();
                kinds.iter().any(|kind| kind["kind"] != "dev")
            });
            next.extend(normal.map(|dep| dep["pkg"].as_str().unwrap()));
        }
    }
}

fn version(text: &str) -> Vec<u32> {
    text.split('.').map(|n| n.parse().unwrap()).collect()
}

#[test]
fn secrets_live_in_one_type_without_display_or_serialize() {
    use std::fmt::Display;
    static_assertions::assert_not_impl_any!(human_check_core::Secret: Display, serde::Serialize, PartialEq, AsRef<str>);
    static_assertions::assert_not_impl_any!(human_check_core::Submission: Display, serde::Serialize);
    static_assertions::assert_not_impl_any!(human_check_http::Request: Display, serde::Serialize);
}
