//! Media: fetched before the provider's link expires, kept, served.

pub mod blobs;
pub mod fetch;
pub mod links;

use crate::store::{self, Media, Store};
use blobs::Blobs;

/// Lets go of a media object: of its bytes, unless another one has the same, and of what tells whose it was. Its row stays and says
/// why, so that the order that brought it, read again, brings it no more.
///
/// # Errors
/// When the store is away; done again, it goes on.
pub async fn let_go(store: &dyn Store, blobs: &Blobs, media: Media, why: &str) -> Result<(), store::Error> {
    let blob = media.blob.clone().or_else(|| blobs.find(&media.id));
    let bare = Media { state: "unavailable".into(), source: None, blob: None, filename: None, reason: Some(why.to_owned()), ..media };
    // The row first: never a name without bytes. Its person last: a crash in between leaves it to be found once more.
    store.put_media(bare.clone()).await?;
    let removed = match blob {
        Some(blob) if !store.uses_blob(&blob).await? => blobs.remove(&blob),
        _ => Ok(()),
    };
    if let Err(error) = removed.and_then(|()| blobs.forget(&bare.id)) {
        tracing::warn!(%error, media = bare.id, "the bytes of a media object cannot be removed");
    }
    store.put_media(Media { person: None, ..bare }).await
}
