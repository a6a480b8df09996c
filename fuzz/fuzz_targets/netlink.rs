//! Answers of the kernel, parts of which others have chosen: names of links, comments of rules.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netlink::wire::{Attributes, Messages, number, text};

fuzz_target!(|bytes: &[u8]| {
    let mut messages = 0;
    for message in Messages::new(bytes).flatten() {
        messages += 1;
        for (_, value) in Attributes::after(message.body, 16).into_iter().flatten().flatten() {
            number(value).ok();
            text(value);
            Attributes::new(value).for_each(drop);
        }
    }
    assert!(messages <= bytes.len() / 16);
});
