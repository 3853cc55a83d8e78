//! `multipart/form-data` (RFC 7578).

use bytes::{BufMut, Bytes, BytesMut};
use fairway_adapters::contract::Field;

/// The content type and the body. `Err` names a file that is not there.
pub fn write(fields: &[Field], file: &dyn Fn(&str) -> Option<Bytes>) -> Result<(String, Bytes), String> {
    let boundary = crate::ids::text("fairway-", crate::ids::random());
    let mut out = BytesMut::new();
    for field in fields {
        out.put_slice(format!("--{boundary}\r\n").as_bytes());
        match field {
            Field::Text { name, value } => {
                out.put_slice(format!("content-disposition: form-data; name=\"{}\"\r\n\r\n", quoted(name)).as_bytes());
                out.put_slice(value.as_bytes());
            }
            Field::Media { name, id, filename, mime_type } => {
                let bytes = file(id).ok_or_else(|| format!("the media object {id} is not in the gateway"))?;
                let head = format!(
                    "content-disposition: form-data; name=\"{}\"; filename=\"{}\"\r\ncontent-type: {}\r\n\r\n",
                    quoted(name),
                    quoted(filename),
                    mime_type.replace(['\r', '\n'], "")
                );
                out.put_slice(head.as_bytes());
                out.put_slice(&bytes);
            }
        }
        out.put_slice(b"\r\n");
    }
    out.put_slice(format!("--{boundary}--\r\n").as_bytes());
    Ok((format!("multipart/form-data; boundary={boundary}"), out.freeze()))
}

/// As browsers escape names (WHATWG HTML, multipart/form-data encoding).
fn quoted(text: &str) -> String {
    text.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}
