//! The states of a product.

crate::vocabulary! {
    /// Where a product is in its life. Each state may follow each.
    ProductStatus {
        /// Being prepared: only its seller and admins see it.
        Draft = "draft",
        /// For sale.
        Active = "active",
        /// Not for sale, or no longer: only its seller and admins see it.
        Archived = "archived",
    }
}
