//! Whatever a passwd file says, an identity stays within its range.

use proptest::prelude::*;
use safepath::users::{LARGEST_ID, resolve};

fn table() -> impl Strategy<Value = Vec<u8>> {
    let line = "[a-c]{0,2}:x?:(-?[0-9]{0,11}|[a-z]):[0-9]{0,4}:[a-c,]{0,4}:/?[a-z]{0,3}";
    let lines = prop::collection::vec(line, 0..6).prop_map(|lines| lines.join("\n").into_bytes());
    prop_oneof![lines, prop::collection::vec(any::<u8>(), 0..200)]
}

proptest! {
    #[test]
    fn ids_are_in_range_or_refused(user in "[a-c0-9:-]{0,12}", passwd in table(), group in table()) {
        if let Ok(found) = resolve(&user, &passwd, &group) {
            prop_assert!(found.uid <= LARGEST_ID && found.gid <= LARGEST_ID);
            prop_assert!(!found.home.is_empty());
        }
    }
}
