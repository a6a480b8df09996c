//! Questions and answers as bytes (RFC 1035 chapter 4), as much of them as a name server for hosts needs.
//!
//! ```text
//! id:16 | QR opcode:4 AA TC RD | RA Z AD CD rcode:4 | questions:16 answers:16 authorities:16 additional:16
//! question: name type:16 class:16        record: name type:16 class:16 ttl:32 length:16 data
//! ```
//!
//! A question holds its name without compression; one that points elsewhere, goes on behind 255 bytes or ends too early
//! is answered as malformed. Nothing is followed twice, so nothing loops.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bytes of a header.
pub const HEADER: usize = 12;
/// What a client takes that does not say more (RFC 1035 2.3.4).
const PLAIN: usize = 512;
/// What is answered at most over UDP: more would be fragmented on most links.
const MOST: usize = 1232;
const NAME: usize = 255;
/// Seconds for which an answer is good: as long as Docker says.
const TTL: u32 = 600;

/// An IPv4 address.
pub const A: u16 = 1;
/// An IPv6 address.
pub const AAAA: u16 = 28;
/// A name for an address.
pub const PTR: u16 = 12;
const ANY: u16 = 255;
const OPT: u16 = 41;
const INTERNET: u16 = 1;

/// The answer's code (RFC 1035 4.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// As asked, be it nothing.
    Good = 0,
    /// The question cannot be read.
    Malformed = 1,
    /// Nobody who knows could be asked.
    Failed = 2,
    /// This kind of question is not answered.
    NotImplemented = 4,
    /// Not answered now.
    Refused = 5,
}

/// A question that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Its number.
    pub id: u16,
    /// The name in small letters, its labels with dots between, without the last dot. Empty for the root.
    pub name: String,
    /// The type that is asked for.
    pub kind: u16,
    /// The class.
    pub class: u16,
    /// The asker wants recursion.
    recursion: bool,
    /// How many bytes of the packet are header and question.
    end: usize,
    /// How many bytes of answer the asker takes over UDP.
    room: usize,
}

/// What to do with a packet that is no question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unreadable {
    /// Too short for a header, or an answer: nothing is said.
    Ignore,
    /// This is said.
    Answer(Vec<u8>),
}

fn u16_at(packet: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*packet.get(at)?, *packet.get(at + 1)?]))
}

impl Question {
    /// Reads a packet.
    pub fn parse(packet: &[u8]) -> Result<Self, Unreadable> {
        let (Some(header), Some(id)) = (packet.get(..HEADER), u16_at(packet, 0)) else {
            return Err(Unreadable::Ignore);
        };
        if header[2] & 0x80 != 0 {
            return Err(Unreadable::Ignore);
        }
        let refuse = |code| Unreadable::Answer(bare(header, code));
        if header[2] & 0x78 != 0 {
            return Err(refuse(Code::NotImplemented));
        }
        if u16_at(packet, 4) != Some(1) || header[6..10] != [0; 4] {
            return Err(refuse(Code::Malformed));
        }
        let Some((name, end)) = name(packet) else { return Err(refuse(Code::Malformed)) };
        let (Some(kind), Some(class)) = (u16_at(packet, end), u16_at(packet, end + 2)) else {
            return Err(refuse(Code::Malformed));
        };
        let end = end + 4;
        let recursion = header[2] & 1 != 0;
        Ok(Self { id, name, kind, class, recursion, end, room: room(packet, end) })
    }

    /// Whether a record of this type answers it.
    pub fn wants(&self, kind: u16) -> bool {
        self.kind == kind || self.kind == ANY
    }

    /// Whether it asks about the internet at all.
    pub fn is_internet(&self) -> bool {
        self.class == INTERNET || self.class == 255
    }

    /// The address about which a reverse question asks.
    pub fn reverse(&self) -> Option<IpAddr> {
        if let Some(rest) = self.name.strip_suffix(".in-addr.arpa") {
            let mut octets = [0; 4];
            let mut labels = rest.split('.').rev();
            for octet in &mut octets {
                *octet = labels.next()?.parse().ok()?;
            }
            return labels.next().is_none().then(|| Ipv4Addr::from(octets).into());
        }
        let rest = self.name.strip_suffix(".ip6.arpa")?;
        let mut bits = 0u128;
        let mut count = 0;
        for label in rest.split('.').rev() {
            let digit = label.chars().next().filter(|_| label.len() == 1)?.to_digit(16)?;
            bits = bits << 4 | u128::from(digit);
            count += 1;
            if count > 32 {
                return None;
            }
        }
        (count == 32).then(|| Ipv6Addr::from_bits(bits).into())
    }

    /// The answer with these addresses, as far as they are of the type that is asked for. `packet` is the question;
    /// over UDP it is cut, and says so, when the asker cannot take it whole.
    pub fn answer(&self, packet: &[u8], addresses: &[IpAddr], udp: bool) -> Vec<u8> {
        let record = |address: &IpAddr| match address {
            IpAddr::V4(v4) if self.wants(A) => Some((A, v4.octets().to_vec())),
            IpAddr::V6(v6) if self.wants(AAAA) => Some((AAAA, v6.octets().to_vec())),
            _ => None,
        };
        let records: Vec<_> = addresses.iter().filter_map(record).collect();
        self.with_records(packet, &records, udp)
    }

    /// The answer with a name, to a reverse question.
    pub fn answer_name(&self, packet: &[u8], name: &str, udp: bool) -> Vec<u8> {
        let mut data = Vec::with_capacity(name.len() + 2);
        for label in name.split('.').filter(|label| !label.is_empty()) {
            let label = &label.as_bytes()[..label.len().min(63)];
            data.push(u8::try_from(label.len()).unwrap_or(63));
            data.extend_from_slice(label);
        }
        data.push(0);
        let records =
            if self.wants(PTR) && data.len() <= NAME { vec![(PTR, data)] } else { vec![] };
        self.with_records(packet, &records, udp)
    }

    /// The answer without any record.
    pub fn refuse(&self, packet: &[u8], code: Code) -> Vec<u8> {
        let mut answer = self.begin(packet, code);
        answer[5] = 1;
        answer
    }

    fn begin(&self, packet: &[u8], code: Code) -> Vec<u8> {
        let mut answer = packet[..self.end].to_vec();
        // An answer, with recursion available; the asker's wish for recursion is repeated.
        answer[2] = 0x80 | u8::from(self.recursion);
        answer[3] = 0x80 | code as u8;
        answer[4..HEADER].fill(0);
        answer
    }

    fn with_records(&self, packet: &[u8], records: &[(u16, Vec<u8>)], udp: bool) -> Vec<u8> {
        let mut answer = self.begin(packet, Code::Good);
        answer[5] = 1;
        let room = if udp { self.room } else { usize::from(u16::MAX) };
        let mut count = 0u16;
        for (kind, data) in records {
            if answer.len() + 12 + data.len() > room {
                answer[2] |= 0x02;
                break;
            }
            // The name is the one in the question.
            answer.extend_from_slice(&[0xc0, 12]);
            answer.extend_from_slice(&kind.to_be_bytes());
            answer.extend_from_slice(&INTERNET.to_be_bytes());
            answer.extend_from_slice(&TTL.to_be_bytes());
            answer.extend_from_slice(&u16::try_from(data.len()).unwrap_or(0).to_be_bytes());
            answer.extend_from_slice(data);
            count += 1;
        }
        answer[6..8].copy_from_slice(&count.to_be_bytes());
        answer
    }

    /// Whether a packet is an answer to this question: its number, and the question repeated.
    pub fn is_answered_by(&self, packet: &[u8], id: u16, answer: &[u8]) -> bool {
        let (Some(question), Some(repeated)) =
            (packet.get(HEADER..self.end), answer.get(HEADER..self.end))
        else {
            return false;
        };
        u16_at(answer, 0) == Some(id)
            && answer[2] & 0x80 != 0
            && repeated.eq_ignore_ascii_case(question)
    }
}

/// The code of an answer.
pub fn code(answer: &[u8]) -> u8 {
    answer.get(3).map_or(0, |byte| byte & 0x0f)
}

/// Whether an answer was cut.
pub fn is_cut(answer: &[u8]) -> bool {
    answer.get(2).is_some_and(|byte| byte & 0x02 != 0)
}

/// Only a header.
fn bare(header: &[u8], code: Code) -> Vec<u8> {
    let mut answer = header.to_vec();
    answer[2] = 0x80 | header[2] & 0x79;
    answer[3] = 0x80 | code as u8;
    answer[4..].fill(0);
    answer
}

/// The name in the question, and where it ends. A label with a dot or an unprintable byte in it becomes one that no
/// name of a container is equal to.
fn name(packet: &[u8]) -> Option<(String, usize)> {
    let mut at = HEADER;
    let mut name = String::new();
    loop {
        let length = usize::from(*packet.get(at)?);
        at += 1;
        if length == 0 {
            return Some((name, at));
        }
        // The two high bits are those of a pointer, which no question needs.
        if length > 63 || at + length - HEADER > NAME {
            return None;
        }
        let label = packet.get(at..at + length)?;
        at += length;
        if !name.is_empty() {
            name.push('.');
        }
        let plain = |byte: &u8| byte.is_ascii_graphic() && *byte != b'.';
        if label.iter().all(plain) {
            name.extend(label.iter().map(|byte| char::from(byte.to_ascii_lowercase())));
        } else {
            name.push('\u{fffd}');
        }
    }
}

/// How much the asker takes over UDP (EDNS, RFC 6891): the OPT record is looked for right behind the question, where
/// every asker puts it.
fn room(packet: &[u8], end: usize) -> usize {
    let has_more = u16_at(packet, 10).is_some_and(|count| count > 0);
    if !has_more || packet.get(end) != Some(&0) || u16_at(packet, end + 1) != Some(OPT) {
        return PLAIN;
    }
    u16_at(packet, end + 3).map_or(PLAIN, |size| usize::from(size).clamp(PLAIN, MOST))
}

/// A question as a client would write it; for tests and for programs that ask.
pub fn question(id: u16, name: &str, kind: u16) -> Vec<u8> {
    let mut packet = Vec::with_capacity(HEADER + name.len() + 6);
    packet.extend_from_slice(&id.to_be_bytes());
    packet.extend_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.').filter(|label| !label.is_empty()) {
        packet.push(u8::try_from(label.len().min(63)).unwrap_or(63));
        packet.extend_from_slice(&label.as_bytes()[..label.len().min(63)]);
    }
    packet.push(0);
    packet.extend_from_slice(&kind.to_be_bytes());
    packet.extend_from_slice(&INTERNET.to_be_bytes());
    packet
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(packet: &[u8]) -> Question {
        Question::parse(packet).unwrap()
    }

    #[test]
    fn a_question_is_read_and_answered() {
        let packet = question(0xbeef, "Web.App", A);
        let asked = parse(&packet);
        assert_eq!((asked.id, asked.name.as_str(), asked.kind), (0xbeef, "web.app", A));
        let addresses: Vec<IpAddr> =
            ["172.18.0.2", "fd00::2", "172.18.0.3"].iter().map(|ip| ip.parse().unwrap()).collect();
        let answer = asked.answer(&packet, &addresses, true);
        assert_eq!(u16_at(&answer, 6), Some(2), "two IPv4 addresses");
        assert_eq!(answer[2..4], [0x81, 0x80]);
        assert_eq!(answer[answer.len() - 4..], [172, 18, 0, 3]);
        assert!(asked.is_answered_by(&packet, 0xbeef, &answer));
        assert!(!asked.is_answered_by(&packet, 0xbeee, &answer));
    }

    #[test]
    fn a_name_without_address_of_the_family_is_there_and_has_none() {
        let packet = question(1, "web", AAAA);
        let asked = parse(&packet);
        let answer = asked.answer(&packet, &["172.18.0.2".parse().unwrap()], true);
        assert_eq!((code(&answer), u16_at(&answer, 6)), (0, Some(0)));
    }

    #[test]
    fn an_answer_that_is_too_long_is_cut_and_says_so() {
        let packet = question(1, "web", A);
        let asked = parse(&packet);
        let many: Vec<IpAddr> = (0..200u8).map(|n| IpAddr::from([10, 0, 0, n])).collect();
        let cut = asked.answer(&packet, &many, true);
        assert!(is_cut(&cut) && cut.len() <= PLAIN);
        let whole = asked.answer(&packet, &many, false);
        assert!(!is_cut(&whole));
        assert_eq!(u16_at(&whole, 6), Some(200));
        let mut more = packet.clone();
        more[11] = 1;
        more.extend_from_slice(&[0, 0, 41, 0xff, 0xff, 0, 0, 0, 0, 0, 0]);
        let asked = parse(&more);
        let answer = asked.answer(&more, &many, true);
        assert!(is_cut(&answer) && answer.len() > PLAIN && answer.len() <= MOST);
    }

    #[test]
    fn reverse_names_are_addresses() {
        let reverse = |name: &str| parse(&question(1, name, PTR)).reverse();
        assert_eq!(reverse("2.0.18.172.in-addr.arpa"), Some("172.18.0.2".parse().unwrap()));
        let long = format!("{}.d.f.ip6.arpa", "0.".repeat(30).trim_end_matches('.'));
        assert_eq!(reverse(&long), Some("fd00::".parse().unwrap()));
        for bad in
            ["1.2.3.in-addr.arpa", "1.2.3.4.5.in-addr.arpa", "x.ip6.arpa", "0.ip6.arpa", "web"]
        {
            assert_eq!(reverse(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_no_question_is_ignored_or_refused() {
        assert_eq!(Question::parse(&[0; 11]), Err(Unreadable::Ignore));
        let mut answer = question(1, "web", A);
        answer[2] |= 0x80;
        assert_eq!(Question::parse(&answer), Err(Unreadable::Ignore));
        let refused = |packet: &[u8]| match Question::parse(packet) {
            Err(Unreadable::Answer(answer)) => code(&answer),
            other => panic!("{other:?}"),
        };
        let mut update = question(1, "web", A);
        update[2] = 5 << 3;
        assert_eq!(refused(&update), Code::NotImplemented as u8);
        let mut two = question(1, "web", A);
        two[5] = 2;
        assert_eq!(refused(&two), Code::Malformed as u8);
        // A name that points to itself, one that never ends, one whose end is missing.
        let mut looping = question(1, "web", A);
        looping[HEADER] = 0xc0;
        looping[HEADER + 1] = 12;
        assert_eq!(refused(&looping), Code::Malformed as u8);
        let long = [vec![0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0], vec![63; 64 * 5]].concat();
        assert_eq!(refused(&long), Code::Malformed as u8);
        let whole = question(1, "web", A);
        for end in HEADER..whole.len() {
            assert_eq!(refused(&whole[..end]), Code::Malformed as u8, "{end}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(packet in proptest::collection::vec(any::<u8>(), 0..600)) {
            match Question::parse(&packet) {
                Ok(asked) => {
                    prop_assert!(asked.name.len() <= 4 * NAME);
                    let answer = asked.answer(&packet, &["10.0.0.1".parse().unwrap()], true);
                    prop_assert!(answer.len() <= asked.end + MOST);
                    asked.reverse();
                }
                Err(Unreadable::Answer(answer)) => prop_assert_eq!(answer.len(), HEADER),
                Err(Unreadable::Ignore) => {}
            }
        }
    }
}
