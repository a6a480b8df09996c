//! What the kernel's rule set holds now: enough to see whether it is ours and whole.

use super::{
    Family, GETCHAIN, GETGENERATION, GETRULE, GETSETELEM, GETTABLE, NEWCHAIN, NEWRULE, NEWSETELEM,
    NEWTABLE, Policy, kind, nfgenmsg,
};
use crate::wire::{self, Attributes, Message};
use crate::{Batch, NetfilterSocket, NetlinkError};

/// A chain of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chain {
    /// The table.
    pub table: String,
    /// Its name.
    pub name: String,
    /// The policy of a base chain.
    pub policy: Option<Policy>,
}

/// A rule of a chain, without its expressions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListedRule {
    /// The table.
    pub table: String,
    /// The chain.
    pub chain: String,
    /// The kernel's number of the rule.
    pub handle: u64,
}

/// An element of a set, as bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListedElement {
    /// The key, its parts padded to four bytes each.
    pub key: Vec<u8>,
    /// The data of a map.
    pub data: Vec<u8>,
}

impl NetfilterSocket {
    /// The names of all tables of a family.
    pub fn tables(&mut self, family: Family) -> Result<Vec<String>, NetlinkError> {
        self.0.list("nftables tables", dump(GETTABLE, family, &[]), |message| {
            let mut name = None;
            each(message, NEWTABLE, |attribute, value| {
                if attribute == 1 {
                    name = Some(wire::text(value));
                }
                Ok(())
            })?;
            Ok(name)
        })
    }

    /// The number of the rule set: the kernel counts it up with every transaction, whoever's.
    pub fn generation(&mut self) -> Result<u32, NetlinkError> {
        let mut batch = Batch::new();
        let m = batch.begin(kind(GETGENERATION), 0, "list", "nftables generation");
        m.fixed(&nfgenmsg(0, 0));
        m.end();
        let parse = |message: Message<'_>| {
            let mut number = None;
            if message.kind >> 8 == super::SUBSYSTEM {
                for attribute in Attributes::after(message.body, 4)? {
                    if let (1, value) = attribute? {
                        number = Some(wire::number_be(value)?);
                    }
                }
            }
            Ok(number)
        };
        let found = self.0.list_once(&batch, wire::ACK, &parse)?.and_then(|mut all| all.pop());
        found.ok_or(NetlinkError::Malformed("an answer without a generation"))
    }

    /// The chains of a table; none when there is no such table.
    pub fn chains(&mut self, family: Family, table: &str) -> Result<Vec<Chain>, NetlinkError> {
        let all = self.0.list("nftables chains", dump(GETCHAIN, family, &[]), parse_chain)?;
        Ok(all.into_iter().filter(|chain| chain.table == table).collect())
    }

    /// The rules of a table; none when there is no such table.
    pub fn rules(&mut self, family: Family, table: &str) -> Result<Vec<ListedRule>, NetlinkError> {
        let batch = dump(GETRULE, family, &[(1, table)]);
        let all = self.0.list("nftables rules", batch, parse_rule)?;
        Ok(all.into_iter().filter(|rule| rule.table == table).collect())
    }

    /// The elements of a set. ENOENT when there is no such set.
    pub fn elements(
        &mut self,
        family: Family,
        table: &str,
        set: &str,
    ) -> Result<Vec<ListedElement>, NetlinkError> {
        let batch = dump(GETSETELEM, family, &[(1, table), (2, set)]);
        let all = self.0.list("nftables set", batch, parse_elements)?;
        Ok(all.into_iter().flatten().collect())
    }
}

fn dump(command: u16, family: Family, texts: &[(u16, &str)]) -> Batch {
    let mut batch = Batch::new();
    let object = texts.last().map_or("nftables objects", |(_, text)| *text);
    let m = batch.begin(kind(command), wire::DUMP, "list", object);
    m.fixed(&nfgenmsg(family.number(), 0));
    for (attribute, text) in texts {
        m.put_text(*attribute, text);
    }
    m.end();
    batch
}

/// Calls `take` with each attribute of a message of this command; answers whether it is one.
fn each(
    message: Message<'_>,
    command: u16,
    mut take: impl FnMut(u16, &[u8]) -> Result<(), NetlinkError>,
) -> Result<bool, NetlinkError> {
    if message.kind != kind(command) {
        return Ok(false);
    }
    for attribute in Attributes::after(message.body, 4)? {
        let (number, value) = attribute?;
        take(number, value)?;
    }
    Ok(true)
}

fn parse_chain(message: Message<'_>) -> Result<Option<Chain>, NetlinkError> {
    let mut chain = Chain::default();
    let found = each(message, NEWCHAIN, |attribute, value| {
        match attribute {
            1 => chain.table = wire::text(value),
            3 => chain.name = wire::text(value),
            5 => {
                let accept = wire::number_be(value)? == 1;
                chain.policy = Some(if accept { Policy::Accept } else { Policy::Drop });
            }
            _ => {}
        }
        Ok(())
    })?;
    Ok(found.then_some(chain))
}

fn parse_rule(message: Message<'_>) -> Result<Option<ListedRule>, NetlinkError> {
    let mut rule = ListedRule::default();
    let found = each(message, NEWRULE, |attribute, value| {
        match attribute {
            1 => rule.table = wire::text(value),
            2 => rule.chain = wire::text(value),
            3 => rule.handle = wire::u64_at(value, 0).map_or(0, u64::from_be),
            _ => {}
        }
        Ok(())
    })?;
    Ok(found.then_some(rule))
}

fn parse_elements(message: Message<'_>) -> Result<Option<Vec<ListedElement>>, NetlinkError> {
    let mut elements = Vec::new();
    let found = each(message, NEWSETELEM, |attribute, value| {
        if attribute == 3 {
            for element in Attributes::new(value) {
                elements.push(parse_element(element?.1)?);
            }
        }
        Ok(())
    })?;
    Ok(found.then_some(elements))
}

fn parse_element(bytes: &[u8]) -> Result<ListedElement, NetlinkError> {
    let mut element = ListedElement::default();
    for attribute in Attributes::new(bytes) {
        match attribute? {
            (1, value) => element.key = first(value)?,
            (2, value) => element.data = first(value)?,
            _ => {}
        }
    }
    Ok(element)
}

fn first(value: &[u8]) -> Result<Vec<u8>, NetlinkError> {
    match Attributes::new(value).next() {
        Some(attribute) => Ok(attribute?.1.to_vec()),
        None => Ok(Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn hostile_listings_are_parsed_or_refused(
            command in prop_oneof![Just(NEWCHAIN), Just(NEWRULE), Just(NEWSETELEM)],
            body in proptest::collection::vec(any::<u8>(), 0..256),
        ) {
            let message = Message { kind: kind(command), flags: 0, sequence: 1, body: &body };
            let _chain = parse_chain(message);
            let _rule = parse_rule(message);
            if let Ok(Some(elements)) = parse_elements(message) {
                prop_assert!(elements.len() <= body.len());
            }
        }
    }
}
