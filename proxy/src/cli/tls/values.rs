//! How the values of options are written.

use std::str::FromStr;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use control::duration;
use sched::{ServiceKey, Tickets};

/// One of these, which shells complete.
pub(super) fn known<T>(all: &[T], name: fn(T) -> &'static str) -> impl TypedValueParser<Value = T> + use<T>
where
    T: Copy + FromStr<Err: std::error::Error + Send + Sync> + Send + Sync + 'static,
{
    PossibleValuesParser::new(all.iter().map(|one| name(*one))).try_map(|text| text.parse())
}

/// Something, or `none`.
#[derive(Clone, Debug)]
pub(super) enum Choice<T> {
    Nothing,
    This(T),
}

pub(super) fn choose<T: Clone>(setting: &mut Option<T>, given: Option<&Choice<T>>) {
    match given {
        None => {}
        Some(Choice::Nothing) => *setting = None,
        Some(Choice::This(value)) => *setting = Some(value.clone()),
    }
}

pub(super) fn choice<T: FromStr<Err: ToString>>(text: &str) -> Result<Choice<T>, String> {
    match text {
        "none" => Ok(Choice::Nothing),
        text => text.parse().map(Choice::This).map_err(|error: T::Err| error.to_string()),
    }
}

/// Words with commas between them, or `none`.
#[derive(Clone, Debug)]
pub(super) struct List<T>(pub(super) Vec<T>);

pub(super) fn list<T: FromStr<Err: ToString>>(text: &str) -> Result<List<T>, String> {
    let words = text.split(',').filter(|_| text != "none");
    words
        .map(|word| word.parse().map_err(|error: T::Err| error.to_string()))
        .collect::<Result<_, _>>()
        .map(List)
}

/// `h2=tcp/10.0.0.1:8443`.
#[derive(Clone, Debug)]
pub(super) struct OfProtocol(pub(super) String, pub(super) ServiceKey);

impl FromStr for OfProtocol {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, service) =
            text.split_once('=').ok_or("write a protocol and its service: h2=tcp/10.0.0.1:8443")?;
        let service = service.parse().map_err(|error: sched::NoService| error.to_string())?;
        Ok(Self(name.to_owned(), service))
    }
}

pub(super) fn sni(text: &str) -> Result<bool, String> {
    match text {
        "any" => Ok(false),
        "strict" => Ok(true),
        _ => Err("write any or strict".to_owned()),
    }
}

pub(super) fn tickets(text: &str) -> Result<Tickets, String> {
    Ok(match text {
        "own" => Tickets::Own,
        "off" => Tickets::Off,
        file => Tickets::Shared(file.into()),
    })
}

pub(super) fn time(text: &str) -> Result<u32, String> {
    duration::seconds(text).ok_or_else(|| "write a time such as 10s, 5m or 1h".to_owned())
}
