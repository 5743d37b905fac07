//! The greeting of a mail server, and its answer to ours (RFC 5321).
//!
//! It greets with 220; we say HELO, and it answers 250; we say QUIT, and hear what it says to that, whatever it is: its log
//! has a client that left as one should.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::asking::{Asking, First, Stage};
use super::words;

/// A line has 512 characters at most (RFC 5321 section 4.5.3.1.5), and nobody has that many of them.
const LONGEST: usize = 16 * 1024;

#[derive(Debug)]
pub(super) struct Ready {
    helo: String,
}

impl Ready {
    pub(super) fn new(helo: &str) -> Result<Self, String> {
        if helo.is_empty() || helo.len() > 255 || !helo.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(format!("`{}` is no name to greet with: write a host's name", helo.escape_debug()));
        }
        Ok(Self { helo: format!("HELO {helo}\r\n") })
    }

    pub(super) async fn ask(&self, asking: &Asking<'_>) -> Result<(), String> {
        let mut talk = Talk { stream: asking.stream(First::Server).await?, heard: Vec::new() };
        talk.expect(asking, 220, "greets with").await?;
        talk.say(&self.helo).await?;
        talk.expect(asking, 250, "answers HELO with").await?;
        // It has said all that matters: a success it is, even if it has no word for our leaving.
        let goodbye = async {
            talk.say("QUIT\r\n").await?;
            talk.reply(asking).await
        };
        asking.leave(goodbye).await;
        Ok(())
    }
}

struct Talk {
    stream: TcpStream,
    heard: Vec<u8>,
}

impl Talk {
    async fn say(&mut self, line: &str) -> Result<(), String> {
        self.stream.write_all(line.as_bytes()).await.map_err(|e| words::io(&e))
    }

    async fn expect(&mut self, asking: &Asking<'_>, code: u16, does: &str) -> Result<(), String> {
        let (got, line) = self.reply(asking).await?;
        match got == code {
            true => Ok(()),
            false => Err(format!("it {does} {}, where {code} was expected", words::quote(&line))),
        }
    }

    /// The code and the last line of a reply, which may have several: `250-` before the last, `250 ` there.
    async fn reply(&mut self, asking: &Asking<'_>) -> Result<(u16, Vec<u8>), String> {
        let mut total = 0;
        loop {
            let line = self.line(asking).await?;
            total += line.len() + 1;
            let code = line.get(..3).filter(|code| code.iter().all(u8::is_ascii_digit));
            let code = code.and_then(|code| std::str::from_utf8(code).ok()?.parse().ok());
            match (code, line.get(3)) {
                (Some(_), Some(b'-')) if total < LONGEST => {}
                (Some(_), Some(b'-')) => return Err("the reply has no end".into()),
                (Some(code), None | Some(b' ' | b'\t')) => return Ok((code, line)),
                _ => return Err(format!("the answer is not SMTP: {}", words::quote(&line))),
            }
        }
    }

    async fn line(&mut self, asking: &Asking<'_>) -> Result<Vec<u8>, String> {
        let mut seen = 0;
        loop {
            if let Some(end) = self.heard[seen..].iter().position(|b| *b == b'\n') {
                let mut line: Vec<u8> = self.heard.drain(..=seen + end).collect();
                line.pop();
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                return Ok(line);
            }
            seen = self.heard.len();
            if seen > LONGEST {
                return Err(format!("the answer is not SMTP: {}", words::quote(&self.heard)));
            }
            match self.stream.read_buf(&mut self.heard).await.map_err(|e| words::io(&e))? {
                0 if self.heard.is_empty() => return Err("the server closed the connection".into()),
                0 => {
                    return Err(format!(
                        "the server closed the connection after {}",
                        words::quote(&self.heard)
                    ));
                }
                _ => asking.reached(Stage::Answering),
            }
        }
    }
}

#[cfg(test)]
mod tests;
