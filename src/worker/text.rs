//! A text of bounded length in shared memory.

/// At most `N` bytes of UTF-8; a longer text is cut at a character.
#[derive(Clone, Copy)]
pub struct Text<const N: usize> {
    length: u32,
    bytes: [u8; N],
}

impl<const N: usize> Text<N> {
    /// Nothing.
    pub const EMPTY: Self = Self { length: 0, bytes: [0; N] };

    /// As much of `text` as fits.
    pub fn set(&mut self, text: &str) {
        let mut length = text.len().min(N);
        while !text.is_char_boundary(length) {
            length -= 1;
        }
        self.bytes[..length].copy_from_slice(&text.as_bytes()[..length]);
        self.length = length as u32;
    }

    /// The whole of `text`, or nothing at all: false when it does not fit.
    pub fn set_whole(&mut self, text: &str) -> bool {
        self.set(if text.len() <= N { text } else { "" });
        text.len() <= N
    }

    /// The text.
    pub fn get(&self) -> &str {
        let bytes = self.bytes.get(..self.length as usize).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }
}
