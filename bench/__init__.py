"""The engine that runs, scores and reports. It is split into packages that import each other in one direction only.

None of them imports a method, a metric or a data set: those are found by name.
"""
