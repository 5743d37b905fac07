//! `ulvs ca show`.

mod json;
mod text;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::{Value, json};
use tls::ca::show::{Item, items};
use tls::ca::{Date, Entry};

use super::folder::Folder;
use super::options::Place;
use super::{files, say};
use crate::cli::text::printable;

/// Shows the files that can be shown, and fails for the first that cannot.
pub(super) fn main(paths: &[PathBuf], json: bool, now: SystemTime) -> anyhow::Result<()> {
    let now = Date::from(now);
    let found = paths.iter().flat_map(|path| if path.is_dir() { folder(path) } else { vec![file(path)] });
    let (mut shown, mut failed) = (Vec::new(), Ok(()));
    for found in found {
        match found {
            Ok(found) => shown.extend(found),
            Err(error) => failed = failed.and(Err(error)),
        }
    }
    if json {
        let all: Vec<_> = shown.iter().map(|thing| thing.json(now)).collect();
        say(&serde_json::to_string_pretty(&all)?);
    } else {
        let all: Vec<_> = shown.iter().map(|thing| thing.text(now)).collect();
        say(all.join("\n").trim_end());
    }
    failed
}

/// Something that is shown, and where it was.
struct Thing {
    path: PathBuf,
    what: What,
    /// The mode of a key's file that others can read.
    open_to_others: Option<u32>,
}

enum What {
    Item(Item),
    Issued(Vec<Entry>),
}

fn file(path: &Path) -> anyhow::Result<Vec<Thing>> {
    let file = files::open(path)?;
    let open = files::open_to_others(path, &file)?;
    let items = items(&files::contents(path, &file)?).map_err(|error| files::at(path, error))?;
    let thing = |item: Item| {
        let open_to_others = if matches!(item, Item::Key(_)) { open } else { None };
        Thing { path: path.to_owned(), what: What::Item(item), open_to_others }
    };
    Ok(items.into_iter().map(thing).collect())
}

/// The files of an authority, then what it has issued.
fn folder(dir: &Path) -> Vec<anyhow::Result<Vec<Thing>>> {
    let folder = match Folder::open(&Place { dir: Some(dir.to_owned()), ca_cert: None, ca_key: None }) {
        Ok(folder) => folder,
        Err(error) => return vec![Err(error)],
    };
    let issued = folder.index().map(|index| {
        let what = What::Issued(index.entries().cloned().collect());
        vec![Thing { path: dir.to_owned(), what, open_to_others: None }]
    });
    let there = [&folder.cert, &folder.key, &folder.crl].into_iter().filter(|path| path.exists());
    there.map(|path| file(path)).chain([issued]).collect()
}

impl Thing {
    fn text(&self, now: Date) -> String {
        let (kind, lines) = match &self.what {
            What::Item(Item::Certificate(view)) => ("certificate", text::certificate_lines(view, now)),
            What::Item(Item::Request(view)) => ("certificate request", text::request_lines(view)),
            What::Item(Item::Key(view)) => ("private key", text::key_lines(view).to_vec()),
            What::Item(Item::Crl(view)) => ("revocation list", text::crl_lines(view, now)),
            What::Issued(entries) => ("issued certificates", entries.iter().map(text::entry_line).collect()),
        };
        let mut text = format!("{}: {kind}\n", self.path.display());
        let warning = self.open_to_others.map(|mode| {
            let advice = format!("others can read it (mode {mode:04o}): `chmod 600 {}`", self.path.display());
            ("warning", advice)
        });
        for (name, value) in lines.into_iter().chain(warning) {
            if !value.is_empty() {
                // Writing to a string does not fail.
                let _ = writeln!(text, "  {name:<12} {}", printable(&value));
            }
        }
        text
    }

    fn json(&self, now: Date) -> Value {
        let mut value = match &self.what {
            What::Item(Item::Certificate(view)) => json::certificate(view, now),
            What::Item(Item::Request(view)) => json::request(view),
            What::Item(Item::Key(view)) => json!({ "type": "key", "key": json::key(view) }),
            What::Item(Item::Crl(view)) => json::crl(view, now),
            What::Issued(entries) => {
                json!({ "type": "issued", "certificates": entries.iter().map(json::entry).collect::<Vec<_>>() })
            }
        };
        value["file"] = self.path.display().to_string().into();
        if matches!(self.what, What::Item(Item::Key(_))) {
            value["open_to_others"] = self.open_to_others.is_some().into();
        }
        value
    }
}
