//! Keywords and blocks.

use super::source::Line;
use super::words::{Piece, split};
use crate::foreign::note::{Notes, Place};

/// No file has blocks within blocks so deep.
const DEEPEST: usize = 16;

/// A word with its place.
#[derive(Clone, Debug)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) place: Place,
}

/// A keyword, what follows it on its line, and its block if it has one.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) keyword: Word,
    pub(super) args: Vec<Word>,
    pub(super) block: Option<Vec<Self>>,
}

impl Item {
    pub(super) fn name(&self) -> &str {
        &self.keyword.text
    }

    pub(super) const fn place(&self) -> &Place {
        &self.keyword.place
    }

    /// What follows the keyword, by number.
    pub(super) fn arg(&self, n: usize) -> Option<&str> {
        self.args.get(n).map(|word| word.text.as_str())
    }

    /// Where that is, or else the keyword.
    pub(super) fn place_of(&self, n: usize) -> &Place {
        self.args.get(n).map_or_else(|| self.place(), |word| &word.place)
    }

    /// What is in its block.
    pub(super) fn items(&self) -> &[Self] {
        self.block.as_deref().unwrap_or_default()
    }
}

/// Makes a tree of lines.
pub(super) fn parse(lines: &[Line], notes: &mut Notes) -> Vec<Item> {
    let mut tree = Growing::default();
    for line in lines {
        let Ok(pieces) = split(&line.text) else {
            let help = "close the quote on the same line, or write \\\" for a quote that is none";
            notes.error(&line.place, "a quote begins here that does not end", help);
            continue;
        };
        // What was substituted is not where it seems to be.
        let exact = line.place.text().starts_with(&line.text);
        let place = |text: &str, span: std::ops::Range<usize>| {
            if exact { line.place.at(span) } else { line.place.find(text) }
        };
        for piece in pieces {
            match piece {
                Piece::Word(text, span) => {
                    let place = place(&text, span);
                    tree.words.push(Word { text, place });
                }
                Piece::Open(span) => tree.open(&place("{", span), notes),
                Piece::Close(span) => tree.close(&place("}", span), notes),
            }
        }
        tree.end_line();
    }
    tree.finish(notes)
}

/// What is being read: the blocks that are open, each with the keyword that it belongs to.
#[derive(Default)]
struct Growing {
    words: Vec<Word>,
    items: Vec<Item>,
    open: Vec<(Item, Vec<Item>)>,
    /// The first block within which one begins that has no place there: it may lack its brace.
    endless: Option<(Word, Word)>,
}

/// Blocks that are within no other.
const OUTERMOST: [&str; 5] =
    ["virtual_server", "virtual_server_group", "global_defs", "vrrp_instance", "vrrp_sync_group"];

impl Growing {
    fn end_line(&mut self) {
        self.items.extend(item(&mut self.words));
    }

    fn open(&mut self, at: &Place, notes: &mut Notes) {
        // The brace may be on a line of its own.
        let alone = |item: &mut Item| item.block.is_none();
        let owner = item(&mut self.words).or_else(|| self.items.pop_if(alone));
        let owner = owner.unwrap_or_else(|| {
            notes.error(at, "this block has no keyword", "write before the { what it is about");
            Item { keyword: Word { text: String::new(), place: at.clone() }, args: Vec::new(), block: None }
        });
        if self.open.len() == DEEPEST {
            notes.error(at, "blocks are within blocks too deep", "close those that are complete");
        }
        let name = owner.name();
        let misplaced = OUTERMOST.contains(&name)
            || name == "real_server" && self.open.iter().any(|(around, _)| around.name() == name);
        if let Some((around, _)) = self.open.last().filter(|_| misplaced && self.endless.is_none()) {
            self.endless = Some((around.keyword.clone(), owner.keyword.clone()));
        }
        let outer = std::mem::take(&mut self.items);
        self.open.push((owner, outer));
    }

    fn close(&mut self, at: &Place, notes: &mut Notes) {
        self.end_line();
        match self.open.pop() {
            Some((owner, outer)) => {
                let inner = std::mem::replace(&mut self.items, outer);
                // Those too deep have been complained about; a tree of them would be no good to anybody.
                let block = if self.open.len() < DEEPEST { inner } else { Vec::new() };
                self.items.push(Item { block: Some(block), ..owner });
            }
            None => notes.error(at, "nothing is open that this could close", "delete this brace"),
        }
    }

    fn finish(mut self, notes: &mut Notes) -> Vec<Item> {
        self.end_line();
        if let Some((block, next)) = self.endless.take().filter(|_| !self.open.is_empty()) {
            let text = format!("the block of `{}` does not end", block.text);
            let help = format!("close it with a }} before `{}` in line {}", next.text, next.place.line);
            notes.error(&block.place, text, help);
            self.open.drain(1..).for_each(drop);
            self.items = self.open.pop().map(|(_, outer)| outer).unwrap_or_default();
        }
        while let Some((owner, outer)) = self.open.pop() {
            let text = format!("the block of `{}` does not end", owner.keyword.text);
            notes.error(&owner.keyword.place, text, "close it with a }");
            self.items = outer;
        }
        self.items
    }
}

fn item(words: &mut Vec<Word>) -> Option<Item> {
    let mut words = std::mem::take(words).into_iter();
    let keyword = words.next()?;
    Some(Item { keyword, args: words.collect(), block: None })
}
