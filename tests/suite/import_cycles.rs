//! No crate has modules that import one another in a cycle.
//!
//! An import counts for the module that defines the imported item: a path through a `pub use` is
//! followed to the definition. Paths in the arguments of macros count as well. Tests, paths in
//! documentation and the bodies of `macro_rules!` do not count.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::Visit;
use syn::{Attribute, Item, UseTree, Visibility};

type ModulePath = Vec<String>;

/// What one module defines, imports and refers to.
#[derive(Debug, Default)]
struct Module {
    children: BTreeSet<String>,
    items: BTreeSet<String>,
    /// The name in this module, and the path as it is written, relative to this module.
    imports: BTreeMap<String, Vec<String>>,
    globs: Vec<Vec<String>>,
    /// Paths that this module's code uses. A re-export alone does not count.
    uses: Vec<Vec<String>>,
}

type Modules = BTreeMap<ModulePath, Module>;

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let text = match &attribute.meta {
            syn::Meta::List(list) if list.path.is_ident("cfg") => list.tokens.to_string(),
            _ => return false,
        };
        // `cfg(test)` and `cfg(all(test, …))`, but not `cfg(feature = "test")`.
        let words = text.split(|c: char| !c.is_alphanumeric() && c != '"' && c != '_');
        words
            .into_iter()
            .any(|word| word == "test" || word == "loom")
    })
}

fn flatten(tree: &UseTree, before: &[String], found: &mut dyn FnMut(Vec<String>, Option<String>)) {
    let with = |name: String| [before, &[name]].concat();
    match tree {
        UseTree::Path(path) => flatten(&path.tree, &with(path.ident.to_string()), found),
        UseTree::Group(group) => {
            for tree in &group.items {
                flatten(tree, before, found);
            }
        }
        UseTree::Name(name) if name.ident == "self" => {
            found(before.to_vec(), before.last().cloned());
        }
        UseTree::Name(name) => found(with(name.ident.to_string()), Some(name.ident.to_string())),
        UseTree::Rename(name) => found(with(name.ident.to_string()), Some(name.rename.to_string())),
        UseTree::Glob(_) => found(before.to_vec(), None),
    }
}

/// Adds the paths of two or more segments in the arguments of a macro.
fn paths_in(tokens: TokenStream, found: &mut Vec<Vec<String>>) {
    let mut path: Vec<String> = Vec::new();
    let mut colons = 0;
    for token in tokens {
        match token {
            TokenTree::Punct(punct) if punct.as_char() == ':' && !path.is_empty() => colons += 1,
            TokenTree::Ident(ident) if colons == 2 => {
                path.push(ident.to_string());
                colons = 0;
            }
            other => {
                found.extend(Some(std::mem::take(&mut path)).filter(|path| path.len() > 1));
                colons = 0;
                match other {
                    TokenTree::Ident(ident) => path.push(ident.to_string()),
                    TokenTree::Group(group) => paths_in(group.stream(), found),
                    _ => {}
                }
            }
        }
    }
    found.extend(Some(path).filter(|path| path.len() > 1));
}

/// Collects the paths of expressions, types, patterns and traits.
struct Paths<'m>(&'m mut Module);

impl<'ast> Visit<'ast> for Paths<'_> {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<_> = path
            .segments
            .iter()
            .map(|segment| segment.ident.to_string())
            .collect();
        // A path of one segment is defined in this module or imported by a `use`, which counts
        // itself.
        if segments.len() > 1 {
            self.0.uses.push(segments);
        }
        syn::visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        if !call.path.is_ident("macro_rules") {
            paths_in(call.tokens.clone(), &mut self.0.uses);
        }
        syn::visit::visit_macro(self, call);
    }

    fn visit_item_macro(&mut self, item: &'ast syn::ItemMacro) {
        // The body of a `macro_rules!` belongs to its callers.
        if !item.mac.path.is_ident("macro_rules") {
            syn::visit::visit_item_macro(self, item);
        }
    }

    fn visit_visibility(&mut self, _: &'ast Visibility) {
        // `pub(super)` imports nothing.
    }

    fn visit_item_use(&mut self, import: &'ast syn::ItemUse) {
        // A `use` inside of a function.
        flatten(&import.tree, &[], &mut |path, _| self.0.uses.push(path));
    }
}

fn read(file: &Path, folder: &Path, name: ModulePath, modules: &mut Modules) {
    let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{file:?}: {error}"));
    let items = syn::parse_file(&text).unwrap().items;
    read_items(&items, folder, name, modules);
}

fn read_items(items: &[Item], folder: &Path, name: ModulePath, modules: &mut Modules) {
    let mut module = Module::default();
    for item in items {
        match item {
            Item::Mod(inner) if is_test(&inner.attrs) => {}
            Item::Mod(inner) => {
                let child = inner.ident.to_string();
                let path = [&name[..], std::slice::from_ref(&child)].concat();
                match &inner.content {
                    Some((_, items)) => read_items(items, &folder.join(&child), path, modules),
                    None => {
                        let flat = folder.join(format!("{child}.rs"));
                        let file = if flat.exists() {
                            flat
                        } else {
                            folder.join(&child).join("mod.rs")
                        };
                        read(&file, &folder.join(&child), path, modules);
                    }
                }
                module.children.insert(child);
            }
            Item::Use(import) if is_test(&import.attrs) => {}
            Item::Use(import) => {
                let is_private = matches!(import.vis, Visibility::Inherited);
                flatten(&import.tree, &[], &mut |path, alias| {
                    if is_private {
                        module.uses.push(path.clone());
                    }
                    match alias {
                        Some(alias) => drop(module.imports.insert(alias, path)),
                        None => module.globs.push(path),
                    }
                });
            }
            other => {
                let defined = match other {
                    Item::Const(item) => Some((&item.ident, &item.attrs)),
                    Item::Enum(item) => Some((&item.ident, &item.attrs)),
                    Item::Fn(item) => Some((&item.sig.ident, &item.attrs)),
                    Item::Static(item) => Some((&item.ident, &item.attrs)),
                    Item::Struct(item) => Some((&item.ident, &item.attrs)),
                    Item::Trait(item) => Some((&item.ident, &item.attrs)),
                    Item::Type(item) => Some((&item.ident, &item.attrs)),
                    _ => None,
                };
                if let Some((ident, attributes)) = defined {
                    if is_test(attributes) {
                        continue;
                    }
                    module.items.insert(ident.to_string());
                }
                Paths(&mut module).visit_item(other);
            }
        }
    }
    modules.insert(name, module);
}

/// Returns the module that defines the item of `path`, seen from the module `from`. Returns `None`
/// if another crate defines it.
fn defining_module(
    modules: &Modules,
    from: &ModulePath,
    path: &[String],
    depth: usize,
) -> Option<ModulePath> {
    if depth > 16 {
        return None;
    }
    let mut at = from.clone();
    let mut rest = path;
    let mut rooted = false;
    while let Some((first, others)) = rest.split_first() {
        match first.as_str() {
            "crate" => at.clear(),
            "super" => drop(at.pop()),
            "self" => {}
            _ => break,
        }
        rooted = true;
        rest = others;
    }
    loop {
        let module = modules.get(&at)?;
        let Some((first, others)) = rest.split_first() else {
            return Some(at);
        };
        if module.children.contains(first) {
            at.push(first.clone());
            rest = others;
            rooted = true;
            continue;
        }
        if module.items.contains(first) {
            return Some(at);
        }
        if let Some(target) = module.imports.get(first) {
            // A path that begins with the import's own name belongs to another crate.
            if target.first() == Some(first) && !modules[&at].children.contains(first) {
                return None;
            }
            let target = [target, others].concat();
            return defining_module(modules, &at, &target, depth + 1);
        }
        for glob in &module.globs {
            let target = [glob, rest].concat();
            if let Some(found) =
                defining_module(modules, &at, &target, depth + 1).filter(|found| *found != at)
            {
                return Some(found);
            }
        }
        // A variant, an associated item, or a name of the prelude or of another crate.
        return (rooted && modules.contains_key(&at) && rest.len() < path.len()).then_some(at);
    }
}

/// Returns the modules of the same crate that each module imports.
fn edges(modules: &Modules) -> BTreeMap<ModulePath, BTreeSet<ModulePath>> {
    let needs = modules.iter().map(|(name, module)| {
        let needed = module.uses.iter();
        let needed = needed.filter_map(|path| defining_module(modules, name, path, 0));
        (name.clone(), needed.filter(|other| other != name).collect())
    });
    needs.collect()
}

/// Returns the sets of modules that all import one another, by Tarjan's algorithm.
fn cycles(edges: &BTreeMap<ModulePath, BTreeSet<ModulePath>>) -> Vec<Vec<ModulePath>> {
    struct Walk<'a> {
        edges: &'a BTreeMap<ModulePath, BTreeSet<ModulePath>>,
        index: BTreeMap<&'a ModulePath, (usize, usize)>,
        stack: Vec<&'a ModulePath>,
        found: Vec<Vec<ModulePath>>,
    }
    fn visit<'a>(walk: &mut Walk<'a>, module: &'a ModulePath) -> usize {
        let place = walk.index.len();
        walk.index.insert(module, (place, place));
        walk.stack.push(module);
        let mut low = place;
        for other in &walk.edges[module] {
            low = match walk.index.get(other) {
                None => low.min(visit(walk, other)),
                Some((place, _)) if walk.stack.contains(&other) => low.min(*place),
                Some(_) => low,
            };
        }
        if low == place {
            let start = walk
                .stack
                .iter()
                .position(|known| *known == module)
                .unwrap();
            let cycle: Vec<_> = walk.stack.split_off(start).into_iter().cloned().collect();
            if cycle.len() > 1 {
                walk.found.push(cycle);
            }
        }
        low
    }
    let (index, stack, found) = <_>::default();
    let mut walk = Walk {
        edges,
        index,
        stack,
        found,
    };
    for module in edges.keys() {
        if !walk.index.contains_key(module) {
            visit(&mut walk, module);
        }
    }
    walk.found
}

fn modules_of(source: &Path) -> Modules {
    let mut modules = Modules::new();
    let root = ["lib.rs", "main.rs"].map(|name| source.join(name));
    let root = root.into_iter().find(|file| file.exists()).unwrap();
    read(&root, source, ModulePath::new(), &mut modules);
    modules
}

fn crates() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .join("crates");
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn no_crate_has_modules_that_import_one_another_in_a_cycle() {
    let mut errors = Vec::new();
    for krate in crates() {
        let modules = modules_of(&krate.join("src"));
        let edges = edges(&modules);
        for cycle in cycles(&edges) {
            let inside: BTreeSet<_> = cycle.iter().collect();
            for module in &cycle {
                let others = edges[module].iter().filter(|other| inside.contains(other));
                let others: Vec<_> = others.map(|other| other.join("::")).collect();
                let name = krate.file_name().unwrap().to_string_lossy();
                errors.push(format!(
                    "{name}: `{}` imports {others:?}",
                    module.join("::")
                ));
            }
            errors.push(String::new());
        }
    }
    assert!(errors.is_empty(), "cycles:\n{}", errors.join("\n"));
}

#[test]
fn a_cycle_through_a_re_export_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("lib.rs", "mod a; mod b; mod c; pub use a::A; pub use b::B;");
    write("a.rs", "pub struct A(crate::B);");
    write("b.rs", "pub struct B; impl B { fn f() { use super::A; } }");
    write(
        "c.rs",
        "use crate::A; #[cfg(test)] mod tests { use crate::B; }",
    );
    let found = cycles(&edges(&modules_of(folder.path())));
    assert_eq!(found, [[vec!["a".to_owned()], vec!["b".to_owned()]]]);

    write("b.rs", "pub struct B;");
    assert!(cycles(&edges(&modules_of(folder.path()))).is_empty());
}
