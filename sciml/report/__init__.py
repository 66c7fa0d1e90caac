"""What a person sees: progress, curves, figures, cards of runs and surrogates.

It reads what lies in a folder, or is given plain data, and knows neither models nor studies: whatever
trains can call it.
"""
