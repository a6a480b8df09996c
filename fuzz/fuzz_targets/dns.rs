//! Packets that containers send to their name server, and what answers for the host's servers.
#![no_main]

use dns::packet::{Question, Unreadable};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    match Question::parse(bytes) {
        Ok(asked) => {
            let addresses = ["10.0.0.1", "fd00::1"].map(|text| text.parse().expect("an address"));
            let answer = asked.answer(bytes, &addresses, true);
            assert!(answer.len() <= bytes.len() + 64, "an answer larger than what it holds");
            asked.answer_name(bytes, "web.app", false);
            asked.reverse();
            asked.is_answered_by(bytes, asked.id, &answer);
        }
        Err(Unreadable::Answer(answer)) => assert_eq!(answer.len(), 12),
        Err(Unreadable::Ignore) => {}
    }
});
