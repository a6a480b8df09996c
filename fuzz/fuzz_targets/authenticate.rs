//! What a registry says of who may ask, where it sends its clients, and what clients say of themselves.
#![no_main]

use distribution::{Address, Challenge, Credentials};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for challenge in Challenge::parse_all(text) {
        if let Challenge::Bearer { realm, .. } = challenge
            && let Some(address) = Address::parse(&realm)
        {
            assert!(!address.to_string().contains('?'), "what is shown has no query");
        }
    }
    drop(Credentials::from_header(text));
});
