//! Lists and texts that are refused before memory is taken for them.

use super::{MAX_CUTS, MAX_DETAIL_BYTES, MAX_NAME_BYTES, MAX_TOP, Scored};
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use std::fmt;
use std::marker::PhantomData;

struct Bounded<T>(usize, PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Bounded<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {} entries", self.0)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
        if seq.size_hint().is_none_or(|length| length > self.0) {
            return Err(A::Error::custom("a list is too long"));
        }
        let mut list = Vec::new();
        while let Some(entry) = seq.next_element()? {
            list.push(entry);
        }
        Ok(list)
    }
}

struct Text(usize);

impl Visitor<'_> for Text {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {} bytes of text", self.0)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
        if text.len() > self.0 {
            return Err(E::custom("a text is too long"));
        }
        Ok(text.to_owned())
    }
}

pub fn name<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    from.deserialize_str(Text(MAX_NAME_BYTES))
}

pub fn detail<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    from.deserialize_str(Text(MAX_DETAIL_BYTES))
}

pub fn cuts<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u16>, D::Error> {
    from.deserialize_seq(Bounded(MAX_CUTS, PhantomData))
}

pub fn top<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Scored>, D::Error> {
    from.deserialize_seq(Bounded(MAX_TOP, PhantomData))
}
