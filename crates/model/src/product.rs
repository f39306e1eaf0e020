//! The states of a product.

crate::vocabulary! {
    /// Where a product is in its life.
    ProductStatus {
        /// For sale.
        Active = "active",
        /// No longer for sale, for ever; orders still refer to it.
        Archived = "archived",
    }
}
