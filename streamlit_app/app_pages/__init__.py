"""One script a page. A page asks muninn.reads, hands the answer to widgets, and says what to do when there is none."""
