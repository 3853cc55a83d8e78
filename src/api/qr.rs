//! QR codes (ISO/IEC 18004): error correction of level M or better, and the quiet zone of four modules around them.

use qrcodegen::{QrCode, QrCodeEcc};

/// Modules that stay light on every side.
const QUIET: i32 = 4;

/// The longest text, in bytes: version 40 of level M.
pub const MOST: usize = 2331;

/// A code.
pub struct Code(QrCode);

impl Code {
    /// The code of a text; `None` when it is too long for one.
    pub fn of(text: &str) -> Option<Self> {
        QrCode::encode_text(text, QrCodeEcc::Medium).ok().map(Self)
    }

    /// Modules of a side, quiet zone and all.
    fn side(&self) -> i32 {
        self.0.size() + 2 * QUIET
    }

    fn dark(&self, x: i32, y: i32) -> bool {
        self.0.get_module(x - QUIET, y - QUIET)
    }

    /// A drawing of any size, a unit for each module.
    pub fn svg(&self) -> String {
        let side = self.side();
        let mut path = String::new();
        for y in 0..side {
            let mut x = 0;
            while x < side {
                let run = (x..side).take_while(|x| self.dark(*x, y)).count() as i32;
                if run > 0 {
                    path.push_str(&format!("M{x} {y}h{run}v1h-{run}z"));
                }
                x += run + 1;
            }
        }
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {side} {side}\" shape-rendering=\"crispEdges\">\
             <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/><path d=\"{path}\"/></svg>\n"
        )
    }

    /// A picture with `scale` pixels for each module.
    pub fn png(&self, scale: u32) -> Vec<u8> {
        let pixels = self.side() as u32 * scale;
        let row = pixels.div_ceil(8) as usize;
        let mut data = Vec::with_capacity(row * pixels as usize);
        for y in 0..self.side() {
            let mut line = vec![0_u8; row];
            for x in (0..pixels).filter(|x| !self.dark((x / scale) as i32, y)) {
                line[x as usize / 8] |= 0x80 >> (x % 8);
            }
            (0..scale).for_each(|_| data.extend_from_slice(&line));
        }
        let mut out = Vec::new();
        let mut encoder = png::Encoder::new(&mut out, pixels, pixels);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::One);
        encoder
            .write_header()
            .and_then(|mut writer| writer.write_image_data(&data))
            .expect("the data has the size of the picture, and memory takes it");
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a code as a camera would: from grey pixels.
    fn read(side: usize, dark: impl Fn(usize, usize) -> bool) -> String {
        let mut image = rqrr::PreparedImage::prepare_from_greyscale(side, side, |x, y| if dark(x, y) { 0 } else { 255 });
        let grids = image.detect_grids();
        assert_eq!(grids.len(), 1);
        let (meta, text) = grids[0].decode().expect("readable");
        // M is written as 0, L as 1, H as 2, Q as 3 (ISO/IEC 18004, table 12).
        assert_ne!(meta.ecc_level, 1, "weaker than M");
        text
    }

    fn cases() -> [String; 4] {
        [
            "https://chat.example/acme?start=spring-flyer_7".into(),
            "sms:+14155550199?body=1%20%2B%201%20%3D%20%C3%BC%3F%20%5Bref%3Ax-1%5D".into(),
            "A".into(),
            format!("https://chat.example/?text={}", "%F0%9F%8E%89".repeat(150)),
        ]
    }

    #[test]
    fn another_decoder_reads_the_picture() {
        for text in cases() {
            for scale in [2, 3, 8] {
                let png = Code::of(&text).expect("it fits").png(scale);
                let mut reader = png::Decoder::new(std::io::Cursor::new(&png)).read_info().expect("a PNG");
                let mut data = vec![0; reader.output_buffer_size().expect("a size")];
                let info = reader.next_frame(&mut data).expect("a frame");
                let row = info.line_size;
                let dark = |x: usize, y: usize| data[y * row + x / 8] & (0x80 >> (x % 8)) == 0;
                assert_eq!(read(info.width as usize, dark), text);
                let quiet = QUIET as usize * scale as usize;
                assert!((0..quiet).all(|y| (0..info.width as usize).all(|x| !dark(x, y) && !dark(y, x))), "the quiet zone is not quiet");
            }
        }
    }

    #[test]
    fn another_decoder_reads_the_drawing() {
        for text in cases() {
            let svg = Code::of(&text).expect("it fits").svg();
            let side: usize = svg.split("viewBox=\"0 0 ").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok()).expect("a size");
            let mut drawn = vec![false; side * side];
            let path = svg.split("d=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a path");
            for piece in path.split_terminator('z') {
                let (place, run) = piece[1..].split_once('h').expect("a run");
                let (x, y) = place.split_once(' ').expect("a place");
                let (x, y): (usize, usize) = (x.parse().expect("a number"), y.parse().expect("a number"));
                let run: usize = run.split('v').next().and_then(|run| run.parse().ok()).expect("a number");
                drawn[y * side + x..y * side + x + run].fill(true);
            }
            assert_eq!(read(side * 4, |x, y| drawn[y / 4 * side + x / 4]), text);
        }
    }

    #[test]
    fn the_longest_text_fits_and_one_byte_more_does_not() {
        assert!(Code::of(&"~".repeat(MOST)).is_some());
        assert!(Code::of(&"~".repeat(MOST + 1)).is_none());
    }
}
