"""The `shareai dash` screen: textual, thin."""
