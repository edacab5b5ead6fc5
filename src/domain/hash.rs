//! The hash that spreads pods: which of them act first on a change, which of them ask for a Lease.

/// FNV-1a, 64 bits, over the bytes of `parts` in order. Pods of different versions must agree on it, so it never changes;
/// it is no secret-keeper.
pub fn fnv1a(parts: &[&str]) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    parts
        .iter()
        .flat_map(|part| part.bytes())
        .fold(OFFSET, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(PRIME)
        })
}

#[cfg(test)]
mod tests {
    use super::fnv1a;

    #[test]
    fn it_is_the_published_function() {
        // Test vectors of the function's authors.
        assert_eq!(fnv1a(&[""]), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(&["a"]), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(&["foobar"]), 0x8594_4171_f739_67e8);
        assert_eq!(fnv1a(&["foo", "", "bar"]), fnv1a(&["foobar"]));
    }
}
